"""How the tasks of a meta-batch are computed: one after the other, mapped over, or side by side.

All give the same numbers. ``grouped`` is the fastest where the space can (``SearchSpace.side_by_side``).
"""

from __future__ import annotations

from math import ceil

from torch import nn

from metanas_pl.conf import MetaConfig
from metanas_pl.errors import UserError
from metanas_pl.search_spaces.base import SearchSpace

MOST_NUMBERS = 2**21
"""Numbers in the widest feature map of the tasks that a CPU computes at once: more leave its caches."""


def choose_backend(space: SearchSpace, meta: MetaConfig) -> str:
    """``meta.backend``; ``auto`` puts tasks side by side where the space can, and maps over them elsewhere.

    Raises:
        UserError: tasks shall stand side by side in a space that computes one at a time.
    """
    if meta.backend == "auto":
        return "grouped" if space.side_by_side else "vmap"
    if meta.backend == "grouped" and not space.side_by_side:
        raise UserError(
            f"meta.backend=grouped: {type(space).__name__} does not compute tasks side by side "
            "(SearchSpace.side_by_side); take auto, vmap or loop"
        )
    return meta.backend


def tasks_at_once(
    space: SearchSpace, chunk_size: int | None, tasks: int, rows: int, pixels: int, device: str
) -> int | None:
    """``meta.chunk_size``; None is all tasks, on a CPU even shares that :data:`MOST_NUMBERS` allows.

    Args:
        space: the network.
        chunk_size: as configured.
        tasks: of the meta-batch.
        rows: images of an inner step.
        pixels: of an image; feature maps are taken to be as large as behind the first convolution.
        device: type of the device.
    """
    if chunk_size is not None or device != "cpu":
        return chunk_size
    convolutions = [m for m in space.modules() if isinstance(m, nn.Conv2d)]
    channels = max((m.out_channels for m in convolutions), default=1)
    for stride in convolutions[0].stride if convolutions else ():
        pixels = ceil(pixels / stride)
    most = max(1, MOST_NUMBERS // (channels * rows * pixels))
    return ceil(tasks / ceil(tasks / most))
