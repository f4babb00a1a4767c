"""The split of classes that come without one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metanas_pl.errors import UserError

SPLIT_SEED = 0
"""Decides the classes of a split. Not the seed of a run: all runs share one test set."""


def split_names(n: int, held_out: Sequence[str] = ("val", "test")) -> list[str]:
    """Returns splits of ``n`` classes: 20 % for each of ``held_out``, at least one; the rest for training.

    Raises:
        UserError: there are fewer classes than splits.

    >>> split_names(5)
    ['val', 'train', 'train', 'test', 'train']
    """
    if n <= len(held_out):
        each = ", ".join(("train", *held_out))
        raise UserError(f"{n} classes; {each} need at least one each")
    n_each = max(1, round(0.2 * n))
    names = [split for split in held_out for _ in range(n_each)]
    names += ["train"] * (n - len(names))
    order = np.random.Generator(np.random.Philox(SPLIT_SEED)).permutation(n)
    chosen = dict(zip(order.tolist(), names, strict=True))
    return [chosen[k] for k in range(n)]
