"""The split of classes that come without one."""

from __future__ import annotations

import numpy as np

from metanas_pl.data.store import SPLITS
from metanas_pl.errors import UserError

SPLIT_SEED = 0
"""Decides the classes of a split. Not the seed of a run: all runs share one test set."""


def split_names(n: int) -> list[str]:
    """The splits of ``n`` classes: 60 % for training, 20 % each for validation and test.

    Raises:
        UserError: there are fewer classes than splits.

    >>> split_names(5)
    ['val', 'train', 'train', 'test', 'train']
    """
    if n < len(SPLITS):
        raise UserError(f"{n} classes; training, validation and test need at least one each")
    n_held_out = max(1, round(0.2 * n))
    names = ["val"] * n_held_out + ["test"] * n_held_out + ["train"] * (n - 2 * n_held_out)
    order = np.random.Generator(np.random.Philox(SPLIT_SEED)).permutation(n)
    chosen = dict(zip(order.tolist(), names, strict=True))
    return [chosen[k] for k in range(n)]
