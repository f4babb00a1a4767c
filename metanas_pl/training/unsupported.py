"""What Lightning offers and a learner of episodes has not: each is answered in a line."""

from __future__ import annotations

import warnings
from typing import Any, NoReturn

import pytorch_lightning as pl

from metanas_pl.config.compatibility import check_precision
from metanas_pl.errors import UserError

LIGHTNING_AND_TORCH = r"pytorch_lightning\.utilities\._pytree"
"""The module of Lightning that makes a ``LeafSpec``, of which torch 2.13 and later warn."""

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
        """Keep a warning about Lightning's own code from the user; refuse what has no meaning here."""
        warnings.filterwarnings("ignore", message=".*LeafSpec", module=LIGHTNING_AND_TORCH)
        if stage == "predict":
            raise UserError(NO_FORWARD)
        if self._compiler_ctx is not None:
            raise UserError(COMPILED)
        check_precision(str(self.trainer.precision), self.trainer.strategy.root_device.type)

    def forward(self, *args: object, **kwargs: object) -> NoReturn:
        """Refuse: images alone are no episode. So do the exports, which trace this.

        Raises:
            UserError: always.
        """
        raise UserError(NO_FORWARD)

    to_onnx = to_torchscript = to_tensorrt = forward  # type: ignore[assignment]


def check_batch(batch: Any, image_shape: tuple[int, ...]) -> None:
    """Refuse what is no batch of episodes, and images of another shape than the network's.

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
