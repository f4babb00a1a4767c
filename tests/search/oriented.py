"""A search with a known answer: textures along rows or columns, and a primitive that sees along each.

A texture is white noise with an echo of itself four pixels on, along rows or along columns; a class is the
strength of the echo. A 3x3 convolution, such as the stem, does not reach that far. Of the two primitives,
convolutions along a row and along a column, one therefore sees the class and the other sees noise.

The echo is so weak, and the images are so many, that training does not reach a loss of 0: without errors
there would be no gradients that tell the two apart.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from metanas_pl.data.datasets.tensors import store_from_arrays
from metanas_pl.search_spaces.cells.tied import TiedSupernet
from metanas_pl.search_spaces.ops import primitives
from metanas_pl.search_spaces.ops.layers import Conv

if TYPE_CHECKING:
    from metanas_pl.types import Settings

SIDE, LAG = 12, 4
ECHOES = {"train": (-0.12, 0.12), "val": (-0.1, 0.1), "test": (-0.11, 0.11)}
ALONG = ("row", "column")


def textures(along: str, n: int = 600, seed: int = 0) -> tuple[np.ndarray, list[str], list[str]]:
    """Returns uint8 images ``(n, SIDE, SIDE, 1)``, their classes and their splits."""
    rng = np.random.default_rng(seed)
    images, labels, splits = [], list[str](), list[str]()
    for split, echoes in ECHOES.items():
        for echo in echoes:
            white = rng.normal(size=(n, SIDE, SIDE + LAG))
            rows = (white[..., :SIDE] + echo * white[..., LAG:]) / np.hypot(1, echo)
            images.append(rows if along == "row" else rows.transpose(0, 2, 1))
            labels += [f"{split} {echo:.2f}"] * n
            splits += [split] * n
    pixels = (128 + 45 * np.concatenate(images)).clip(0, 255)
    return pixels.astype(np.uint8)[..., None], labels, splits


def make_store(folder: Path, along: str) -> None:
    """Writes a store of textures along rows or columns."""
    images, labels, splits = textures(along)
    store_from_arrays(folder, images, labels, splits=splits)


def build(
    config: Settings, *, in_channels: int, image_size: int, n_ways: int, search: bool
) -> TiedSupernet:
    """Returns two cells of one node, the second of which rectifies the output of the first.

    All edges have one primitive, so that there is one choice, and one answer.

    ``config["order"]`` is the order of the two primitives.
    """
    for name, kernel in (("row", (1, 5)), ("column", (5, 1))):
        primitives.BUILDERS[name] = lambda c, stride, affine, kernel=kernel: primitives.ConvNorm(
            Conv(c, c, kernel, stride), affine=affine
        )
    return TiedSupernet(
        in_channels=in_channels,
        n_ways=n_ways,
        channels=8,
        n_cells=2,
        reductions=(),
        primitives=tuple(config["order"]),
    )
