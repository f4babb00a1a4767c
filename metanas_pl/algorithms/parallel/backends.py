"""How the tasks of a meta-batch are computed: one after the other, mapped over, or grouped.

All give the same numbers. ``grouped`` is the fastest where the network can (its ``supports_grouped``).
"""

from __future__ import annotations

from math import ceil

from torch import nn

from metanas_pl.errors import UserError

MOST_NUMBERS = 2**21
"""Numbers in the widest feature map of the tasks that a CPU computes at once: more leave its caches."""


def choose_backend(asked: str, network: nn.Module) -> str:
    """Returns ``asked``; ``auto`` is ``grouped`` where the network can, and ``vmap`` elsewhere.

    Args:
        asked: ``meta.backend``.
        network: says by its attribute ``supports_grouped`` whether it computes grouped tasks.

    Raises:
        UserError: ``grouped`` is asked of a network that computes one task at a time.

    >>> choose_backend("auto", nn.Linear(2, 2))
    'vmap'
    """
    supported = bool(getattr(network, "supports_grouped", False))
    if asked == "auto":
        return "grouped" if supported else "vmap"
    if asked == "grouped" and not supported:
        raise UserError(
            f"meta.backend=grouped: {type(network).__name__} does not compute grouped tasks "
            "(supports_grouped); take auto, vmap or loop"
        )
    return asked


def tasks_at_once(
    network: nn.Module, chunk_size: int | None, tasks: int, rows: int, pixels: int, device: str
) -> int | None:
    """Returns ``meta.chunk_size``; None is all, on a CPU even shares as :data:`MOST_NUMBERS` allows.

    Args:
        network: whose convolutions say how wide its feature maps are.
        chunk_size: as configured.
        tasks: of the meta-batch.
        rows: images of an inner step.
        pixels: of an image; feature maps are taken to be as large as behind the first convolution.
        device: type of the device.

    >>> tasks_at_once(nn.Conv2d(1, 64, 3), None, tasks=20, rows=20, pixels=28 * 28, device="cpu")
    2
    """
    if chunk_size is not None or device != "cpu":
        return chunk_size
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    channels = max((m.out_channels for m in convolutions), default=1)
    for stride in convolutions[0].stride if convolutions else ():
        pixels = ceil(pixels / stride)
    most = max(1, MOST_NUMBERS // (channels * rows * pixels))
    return ceil(tasks / ceil(tasks / most))
