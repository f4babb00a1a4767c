"""What Lightning offers and a learner of episodes has not: each is answered in a line."""

from __future__ import annotations

import warnings
from typing import Any, NoReturn

import pytorch_lightning as pl

from metanas_pl.config.compatibility import check_precision
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
        """Keep a warning about Lightning's own code from the user; refuse what has no meaning here."""
        warnings.filterwarnings("ignore", message=".*LeafSpec", module=LEAF_SPEC)
        if stage == "predict":
            raise UserError(NO_FORWARD)
        if is_compiled(self):
            raise UserError(COMPILED)
        check_precision(str(self.trainer.precision))

    def forward(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: images alone are no episode. So do the exports, which trace this.

        Raises:
            UserError: always.
        """
        raise UserError(NO_FORWARD)

    to_onnx = to_torchscript = to_tensorrt = forward  # type: ignore[assignment]
