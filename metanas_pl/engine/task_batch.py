"""Episodes as the method sees them: with the minibatches and the noise of their inner loop.

Shapes: T tasks, S support images, Q queries, C, H, W an image, k inner steps, B images of a minibatch
(A in an alpha-step), O operations; ``*T`` is nothing for one task and T for the tasks of a meta-batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils import _pytree as pytree

from metanas_pl.algorithms.inner_problem import Support
from metanas_pl.algorithms.noise import drop_path, episode_generator, minibatches
from metanas_pl.data.episodes.dataset import IGNORED, Episode
from metanas_pl.engine.alpha_images import changed_copies, split_rows, splits
from metanas_pl.engine.method_functions import Draw
from metanas_pl.types import Episodes, Params

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class TaskBatch(NamedTuple):
    """One episode; with a leading task dimension, a meta-batch.

    ``n_ways`` is the largest number of classes in the meta-batch, ``query_real`` as ``support.real``, for
    queries. ``noise_at_query``: the architecture that noise drew for the task also answers its queries.
    """

    support: Support
    query_x: Float[Tensor, "*T Q C H W"]
    query_y: Int[Tensor, "*T Q"]
    n_ways: int
    query_real: Float[Tensor, "*T Q"] | None = None
    noise_at_query: bool = False

    def query_noise(self) -> Params | None:
        """Returns the noise of the forward pass over the queries; None for the most likely architecture."""
        return self.support.first_noise() if self.noise_at_query else None


DropPath = tuple[tuple[int, ...] | None, float]
"""``(cells, edges, O)`` of drop path, or None, and its probability."""
RelaxationNoise = tuple[Draw | None, dict[str, tuple[int, ...]], bool]
"""How noise of the relaxation is drawn, or None; the shape of each alpha; whether once a task."""


class _Draws(NamedTuple):
    """Minibatches of both passes of the inner steps of one task, and their noise."""

    train: Int[Tensor, "k B"]
    arch: Int[Tensor, "k A"]
    drops: Float[Tensor, "k 2 cells edges O B"] | None
    noise: Params | None


def task(tasks: TaskBatch, t: int) -> TaskBatch:
    """Returns task ``t`` of a meta-batch."""
    return pytree.tree_map(lambda leaf: leaf[t] if isinstance(leaf, Tensor) else leaf, tasks)


class InnerSteps(NamedTuple):
    """What the inner steps of every task take.

    Attributes:
        steps: their number.
        arch_steps: the alphas move in steps before this one.
        batch_size: samples of a step; None takes the support set.
        alpha_images: which images the alpha-steps see, as ``nas.alpha_images``.
        chooses: a choice among sets of alphas needs these images without any alpha-step, too.
    """

    steps: int
    arch_steps: int = 0
    batch_size: int | None = None
    alpha_images: str = "support"
    chooses: bool = False


def prepare(
    episode: Episodes,
    seed: int,
    inner: InnerSteps,
    drop: DropPath,
    relaxation: RelaxationNoise,
) -> TaskBatch:
    """Returns a batch of episodes with minibatches and noise; they depend on each episode's index alone.

    An episode of a batch may be smaller than its tensors: rows without an image come last and have a label
    below 0. They take part in nothing, and each episode gets what it would get alone.

    Args:
        episode: T episodes.
        seed: the run's seed.
        inner: number of the inner steps and what they take.
        drop, relaxation: noise of drop path and of the relaxation.
    """
    ways, sizes, n_queries = _sizes(episode)
    rows, images = list[_Draws](), list[Tensor | None]()
    for t, (index, size) in enumerate(zip(episode.index.tolist(), sizes, strict=True)):
        x, y = episode.support_x[t, :size], episode.support_y[t, :size].cpu()
        row, copies = _drawn(x, y, inner, drop, relaxation, episode_generator(seed, index))
        rows.append(row)
        images.append(copies)
    rows, of_arch = _of_one_size(rows, images, episode, inner)
    device = episode.support_x.device
    stacked: _Draws = pytree.tree_map(
        lambda *leaves: None if leaves[0] is None else torch.stack(leaves).to(device), *rows
    )
    present = torch.arange(max(ways)) < torch.tensor(ways)[:, None]
    support = Support(
        episode.support_x,
        episode.support_y,
        *stacked,
        _real(episode.support_x, episode.support_y, sizes),
        None if present.all() else present.to(device),
        *of_arch,
    )
    query_real = _real(episode.query_x, episode.query_y, n_queries)
    draw, _, per_task = relaxation
    at_query = per_task and draw is not None
    return TaskBatch(support, episode.query_x, episode.query_y, max(ways), query_real, at_query)


def _drawn(
    x: Tensor,
    y: Tensor,
    inner: InnerSteps,
    drop: DropPath,
    relaxation: RelaxationNoise,
    generator: torch.Generator,
) -> tuple[_Draws, Tensor | None]:
    """Returns minibatches and noise of the inner steps of one task, and changed copies of its images."""
    steps, (draw, shapes, per_task) = inner.steps, relaxation
    train, arch = (minibatches(len(x), inner.batch_size, steps, generator) for _ in range(2))
    drops = noise = None
    if drop[0] is not None:
        drops = drop_path((steps, 2, *drop[0], train.shape[1]), drop[1], generator)
    if draw is not None:
        passes = (1, 1) if per_task else (steps, 2)
        noise = {k: draw((*passes, *shape), generator) for k, shape in shapes.items()}
        noise = {k: n.expand(steps, 2, *n.shape[2:]) for k, n in noise.items()}
    train, arch, copies = _for_alphas(inner, x, y, train, arch, generator)
    return _Draws(train, arch, drops, noise), copies


def _of_one_size(
    rows: list[_Draws], images: Sequence[Tensor | None], episode: Episodes, inner: InnerSteps
) -> tuple[list[_Draws], tuple[Tensor | None, Tensor | None, Tensor | None]]:
    """Returns minibatches of one size for all tasks, and images of the alpha-steps where they differ."""
    width, n_rows = max(row.train.shape[1] for row in rows), episode.support_y.shape[1]
    arch_widths = {row.arch.shape[1] for row in rows}
    of_arch: tuple[Tensor | None, Tensor | None, Tensor | None] = (None, None, None)
    alike, blank = len(arch_widths) == 1, n_rows - 1
    if any(copies is not None for copies in images) or not (alike or _shares(inner)):
        of_arch, blank = _images_of_arch(episode, images, blank=not alike), n_rows
    rows = [row._replace(arch=_padded(row.arch, max(arch_widths), blank)) for row in rows]
    return [_widened(row, width, n_rows - 1) for row in rows], of_arch


def pooled(episode: Episodes) -> Episodes:
    """Returns episodes whose support set holds their queries, too; rows without an image stay last."""
    x = torch.cat([episode.support_x, episode.query_x], 1)
    y = torch.cat([episode.support_y, episode.query_y], 1)
    order = (y < 0).int().argsort(stable=True, dim=1)
    images = order.view(*order.shape, 1, 1, 1).expand_as(x)
    return Episode(
        x.gather(1, images), y.gather(1, order), episode.query_x, episode.query_y, episode.index
    )


def _sizes(episode: Episodes) -> tuple[list[int], list[int], list[int]]:
    """Returns classes, support images and query images of each task, with one look at the device."""
    y, query_y = episode.support_y, episode.query_y
    counts = torch.stack([y.amax(1) + 1, (y >= 0).sum(1), (query_y >= 0).sum(1)])
    ways, n_support, n_query = counts.tolist()
    return ways, n_support, n_query


def _real(x: Tensor, y: Tensor, counts: list[int]) -> Tensor | None:
    """Returns 1 for rows with an image and 0 for others, ``(T, B)``; None if all have one."""
    return None if min(counts) == y.shape[1] else (y >= 0).to(x.dtype)


def _for_alphas(
    inner: InnerSteps,
    x: Tensor,
    y: Tensor,
    train: Tensor,
    arch: Tensor,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Returns the minibatches of both passes where the alpha-steps see images of their own, and copies."""
    if _shares(inner):
        return train, arch, None
    if not splits(inner.alpha_images, y):
        return train, arch, changed_copies(x, generator)
    of_weights, of_alphas = split_rows(y, generator)
    own, others = (
        rows[minibatches(len(rows), inner.batch_size, inner.steps, generator)]
        for rows in (of_weights, of_alphas)
    )
    own = own[:, torch.arange(train.shape[1]) % own.shape[1]]
    moving = torch.arange(inner.steps)[:, None] < inner.arch_steps  # later w-steps take all
    return torch.where(moving, own, train), others, None


def _shares(inner: InnerSteps) -> bool:
    """Returns whether the alpha-steps take the minibatches' rows of the support set as it is."""
    return inner.alpha_images == "support" or not (inner.arch_steps or inner.chooses)


def _images_of_arch(
    episode: Episodes, copies: Sequence[Tensor | None], blank: bool
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Returns images and labels of the alpha-steps, with a last row that is blank, and which are images.

    Args:
        episode: T episodes.
        copies: of the images of each; None takes the images.
        blank: a minibatch may hold the blank row.
    """
    x = episode.support_x.clone()
    for t, changed in enumerate(copies):
        if changed is not None:
            x[t, : len(changed)] = changed
    x = F.pad(x, (0, 0, 0, 0, 0, 0, 0, 1))
    y = F.pad(episode.support_y, (0, 1), value=IGNORED)
    some_missing = blank or bool((episode.support_y < 0).any())
    return x, y, (y >= 0).to(x.dtype) if some_missing else None


def _padded(rows: Tensor, width: int, blank: int) -> Tensor:
    """Returns minibatches of ``width`` samples; missing ones are the row ``blank``."""
    return F.pad(rows, (0, width - rows.shape[1]), value=blank)


def _widened(row: _Draws, width: int, blank: int) -> _Draws:
    """Returns minibatches of the w-steps with ``width`` samples, and their factors."""
    missing = width - row.train.shape[1]
    if not missing:
        return row
    drops = None if row.drops is None else F.pad(row.drops, (0, missing))
    return row._replace(train=_padded(row.train, width, blank), drops=drops)
