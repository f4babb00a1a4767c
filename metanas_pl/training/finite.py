"""Figures of a test or validation that are not numbers: an error, and not the accuracy of chance."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from metanas_pl.engine.evaluation import Evaluation
from metanas_pl.errors import RunFailed

FIELDS = ("loss", "accuracy", "transductive", "pruned", "before")
STAGES = {"val": "validation", "test": "test"}


class NotFinite(RunFailed):
    """Loss or logits of an episode are NaN or infinite."""


def check_finite(result: Evaluation, index: Tensor, stage: str) -> None:
    """Refuses episodes whose loss is not finite, or whose accuracy is NaN for the sake of its logits.

    Args:
        result: figures of T episodes.
        index: their numbers, ``(T,)``.
        stage: ``val`` or ``test``.

    Raises:
        NotFinite: names the first such episode.
    """
    finite = torch.stack([getattr(result, name) for name in FIELDS]).isfinite().all(0)
    if not finite.all():
        episode = int(index[~finite][0])
        raise NotFinite(
            f"loss or logits of {STAGES[stage]} episode {episode} are not finite, from the start or as it "
            f"is learned (metanas-replay with split={stage} episode={episode} shows where); train "
            "with lower rates"
        )


@contextmanager
def naming(weights: Callable[[], str]) -> Iterator[None]:
    """Says which weights were evaluated where :func:`check_finite` refuses what they gave.

    Raises:
        NotFinite: the same, with their name.
    """
    try:
        yield
    except NotFinite as error:
        raise NotFinite(f"{weights()}: {error}") from error
