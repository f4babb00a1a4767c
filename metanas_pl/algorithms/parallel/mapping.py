"""Run a pure function of one task over all tasks of a meta-batch: loop or vmap, the same answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from metanas_pl.errors import UserError

BACKENDS = ("loop", "vmap", "grouped")

Tasks = TypeVar("Tasks")
Results = TypeVar("Results")


def map_tasks(
    function: Callable[[Tasks], Results],
    tasks: Tasks,
    backend: str = "vmap",
    chunk_size: int | None = None,
) -> Results:
    """Returns ``function`` of every task, stacked along a new first dimension.

    Args:
        function: pure function of one task (any tree of tensors).
        tasks: the same tree with a leading task dimension on every tensor; other leaves are shared.
        backend: ``vmap`` (all tasks at once) or ``loop`` (one after the other, least memory);
            ``grouped`` is ``vmap`` for a function that calls its network by
            :func:`~metanas_pl.algorithms.parallel.grouped.call_grouped`.
        chunk_size: most tasks at once unless they loop; bounds memory. None takes all.

    Raises:
        UserError: there is no such backend.

    >>> map_tasks(lambda x: x.sum(), torch.ones(3, 2), backend="loop")
    tensor([2., 2., 2.])
    """
    leaves, spec = pytree.tree_flatten(tasks)
    tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]

    def of_tensors(*parts: Tensor) -> Results:
        remaining = iter(parts)
        filled = [next(remaining) if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        return function(pytree.tree_unflatten(filled, spec))

    if backend in ("vmap", "grouped"):
        return torch.func.vmap(of_tensors, chunk_size=chunk_size)(*tensors)
    if backend != "loop":
        raise UserError(f"backend {backend!r} is unknown: choose one of {', '.join(BACKENDS)}")
    results = [of_tensors(*parts) for parts in zip(*tensors, strict=True)]
    return pytree.tree_map(lambda *parts: torch.stack(parts), *results)
