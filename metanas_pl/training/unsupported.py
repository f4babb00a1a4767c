"""What Lightning offers and a learner of episodes does not have: each is answered in a line."""

from __future__ import annotations

import warnings
from typing import Any, NoReturn

import pytorch_lightning as pl

from metanas_pl.config.schemas.trainer import check_precision
from metanas_pl.errors import UserError
from metanas_pl.utils.lightning_private import LEAF_SPEC, is_compiled

NO_FORWARD = (
    "MetaNASModule has no forward pass: a network comes from adapting to the support images of an episode; "
    "use Trainer.fit, validate and test with an EpisodeDataModule (prediction and export are on their way)"
)

COMPILED = (
    "torch.compile cannot trace an inner loop of gradient steps: give the Trainer the module itself"
)


class EpisodesOnly(pl.LightningModule):
    """Trains and tests on episodes: there is no forward pass, prediction, export or compiling."""

    def setup(self, stage: str) -> None:
        """Keeps a warning about Lightning's own code from the user; refuses what has no meaning here."""
        warnings.filterwarnings("ignore", message=".*LeafSpec", module=LEAF_SPEC)
        if stage == "predict":
            raise UserError(NO_FORWARD)
        if is_compiled(self):
            raise UserError(COMPILED)
        check_precision(str(self.trainer.precision))

    def forward(self, *args: object, **kwargs: object) -> NoReturn:
        """Refuses: images alone are no episode. So do the exports, which trace this.

        Raises:
            UserError: always.
        """
        raise UserError(NO_FORWARD)

    to_onnx = to_torchscript = to_tensorrt = forward  # type: ignore[assignment]


def check_batch(batch: Any, image_shape: tuple[int, ...]) -> None:
    """Refuses what is no batch of episodes, and images of another shape than the network's.

    Args:
        batch: what a loader gave.
        image_shape: ``(C, H, W)`` that the module was made for.

    Raises:
        UserError: says which loaders, or which shape, to take.
    """
    if not all(hasattr(batch, name) for name in ("support_x", "support_y", "query_x", "query_y")):
        raise UserError(
            f"the loader gives a {type(batch).__name__}, not a batch of metanas_pl.data.Episode: take an "
            "EpisodeDataModule (data=tensors or data=folder for your own images)"
        )
    found = tuple(batch.support_x.shape[-3:])
    if found != image_shape:
        raise UserError(
            f"the images are (C, H, W) = {found}, the network is for image_shape={image_shape}: "
            "make MetaNASModule with image_shape of the images, or set image_size and channels of the data"
        )
