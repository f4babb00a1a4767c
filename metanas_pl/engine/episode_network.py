"""The network of one episode: what a search space computes for a support set and for queries.

Shapes: B images of a batch, Q queries, C, H, W an image, N ways, F features or logits; T tasks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

from metanas_pl.algorithms.heads import empty_head, prototype_head
from metanas_pl.algorithms.inner_problem import Batch, Objective, Support
from metanas_pl.algorithms.nas.relaxations import apply_threshold
from metanas_pl.algorithms.parallel.grouped import call_grouped
from metanas_pl.errors import UserError
from metanas_pl.search_spaces.base import Alive, Context, Reference, SearchSpace
from metanas_pl.types import Alphas, Mask, Mixing, Params, Relaxation, Theta

if TYPE_CHECKING:
    from jaxtyping import Float


class EpisodeNetwork(NamedTuple):
    """A search space under one relaxation and one kind of head.

    Attributes:
        space: the search space.
        relaxation: ``(alphas, temperature, mask, noise) -> mixing``.
        head: as ``meta.head``.
        n_ways: classes of the episodes.
        mask: alphas that meta-pruning has left alive.
        threshold: mixing weights that are not above it are 0.
        auxiliary_skip: weight of the auxiliary skip connections.
        grouped: tasks that ``vmap`` maps over are computed in one call.
        second_order: gradients of the support loss are differentiated again.
        alive: the mask of the operations as plain values; what it switches off is not computed.
        unused: names of the weights of what is not computed.
    """

    space: SearchSpace
    relaxation: Relaxation
    head: str
    n_ways: int
    mask: Mask
    threshold: float
    auxiliary_skip: float = 0.0
    grouped: bool = False
    second_order: bool = False
    alive: Alive = {}  # noqa: RUF012  (never written to)
    unused: frozenset[str] = frozenset()

    def mixing(self, alphas: Alphas, temperature: float, noise: Params | None = None) -> Mixing:
        """Returns mixing weights at a temperature, thresholded."""
        return apply_threshold(
            self.relaxation(alphas, temperature, self.mask, noise), self.threshold
        )

    def objective(self) -> Objective:
        """Returns what the inner loop descends on."""
        return Objective(self.mixing, self.loss)

    def loss(self, weights: Params, mixing: Mixing, batch: Batch) -> Float[Tensor, ""]:
        """Returns the cross-entropy of a batch, by its own statistics; a label of -100 does not count."""
        return F.cross_entropy(self.logits(weights, mixing, batch), batch.y)

    def logits(self, weights: Params, mixing: Mixing, batch: Batch) -> Float[Tensor, "B N"]:
        """Returns the logits of a labelled batch, normalised by its own statistics."""
        context = self._context(batch.real)._replace(drop_path=batch.drop_path)
        if self.head != "prototypes":
            return _of_ways(self._forward(weights, mixing, batch.x, context), batch.ways)
        features = self._forward(weights, mixing, batch.x, context._replace(head=False))
        head = prototype_head(features, batch.y, self.n_ways)
        return _of_ways(_linear(features, head), batch.ways)

    def query_logits(
        self,
        weights: Params,
        mixing: Mixing,
        support: Support,
        query_x: Float[Tensor, "Q C H W"],
        norm: str,
        query_real: Float[Tensor, " Q"] | None = None,
    ) -> Float[Tensor, "Q N"]:
        """Returns the logits of the query set.

        Args:
            weights, mixing: the adapted network.
            support: the episode's support set.
            query_x: query images.
            norm: batch norm by the statistics of the support images (``inductive``), which tells one query
                nothing of another, or of all queries (``transductive``).
            query_real: the rows with an image, as ``support.real``.
        """
        context = self._context(head=self.head != "prototypes")
        n_support = support.x.shape[0]
        if norm == "inductive":
            images = torch.cat([support.x, query_x])
            context = context._replace(reference=_support_rows(support, query_x))
            known, asked = self._forward(weights, mixing, images, context).tensor_split([n_support])
        else:
            asked = self._forward(weights, mixing, query_x, context._replace(reference=query_real))
            known = asked
            if self.head == "prototypes":
                context = context._replace(reference=support.real)
                known = self._forward(weights, mixing, support.x, context)
        if self.head == "prototypes":
            asked = _linear(asked, prototype_head(known, support.y, self.n_ways))
        return _of_ways(asked, support.ways)

    def start(self, theta: Theta, support: Support, temperature: float) -> Theta:
        """Returns where a task starts: theta, with an empty head or one from class means unless learned.

        Raises:
            UserError: a meta-learned head has other ways than the episode.
        """
        if self.head == "prototypes":
            return theta
        if self.head == "learned":
            n_learned = theta.weights["head.bias"].shape[0]
            if n_learned != self.n_ways or support.ways is not None:
                asked = self.n_ways if support.ways is None else f"2 to {self.n_ways}"
                raise UserError(
                    f"data.n_ways={asked}, but the meta-learned head has {n_learned} ways: "
                    "train with meta.head=zero or prototype_init to test other numbers of ways"
                )
            return theta
        head = empty_head(theta.weights["head.weight"], self.n_ways)
        if self.head == "prototype_init":
            mixing = self.mixing(theta.alphas, temperature, support.first_noise())
            context = self._context(support.real, head=False)
            features = self._forward(theta.weights, mixing, support.x, context)
            head = prototype_head(features, support.y, self.n_ways)
        return theta._replace(weights={**theta.weights, **head})

    def _context(self, reference: Reference = None, head: bool = True) -> Context:
        return Context(reference, auxiliary_skip=self.auxiliary_skip, head=head, alive=self.alive)

    def _forward(self, weights: Params, mixing: Mixing, x: Tensor, context: Context) -> Tensor:
        on_cpu = x.device.type == "cpu"  # a look at values makes the host wait for a GPU
        context = context._replace(skip_zeros=on_cpu and self.threshold > 0)
        if not self.grouped:
            return functional_call(self.space, weights, (x, mixing, context), tie_weights=False)
        weights = {name: w for name, w in weights.items() if name not in self.unused}
        second_order = self.second_order and not isinstance(context.reference, int)
        context = context._replace(compiled=not second_order)
        of_task: Params = {
            name: value
            for name in ("drop_path", "reference")
            if isinstance(value := getattr(context, name), Tensor)
        }
        named = (weights, mixing, of_task)

        def of_all_tasks(x: Tensor, *stacked: Tensor) -> Tensor:
            rest = iter(stacked)  # not pytree, which takes long for hundreds of tensors
            weights, mixing, of_task = ({name: next(rest) for name in group} for group in named)
            of_tasks = context._replace(**of_task)  # type: ignore[arg-type]
            return forward_tasks(self.space, weights, mixing, x, of_tasks)

        inputs = [tensor for group in named for tensor in group.values()]
        return call_grouped(of_all_tasks, x, *inputs, second_order=second_order)


def forward_tasks(
    space: SearchSpace,
    weights: Params,
    mixing: Mixing,
    x: Float[Tensor, "T B C H W"],
    context: Context,
) -> Float[Tensor, "T B F"]:
    """Returns logits or features of T tasks at once; every tensor has a leading task dimension."""
    tasks, batch = x.shape[:2]
    if context.drop_path is not None:
        context = context._replace(drop_path=context.drop_path.movedim(0, -1))
    if isinstance(context.reference, Tensor):
        context = context._replace(reference=context.reference.T)
    images = x.transpose(0, 1).flatten(1, 2)
    if tasks == 1 and x.device.type == "cpu":
        images = channels_last(images)
    beside = {name: weight.flatten(0, 1) for name, weight in weights.items()}
    call = (images, mixing, context._replace(tasks=tasks))
    outputs = functional_call(space, beside, call, tie_weights=False)
    return outputs.view(batch, tasks, -1).transpose(0, 1)


def channels_last(x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
    """Returns ``x`` with channels last in memory, for C = 1 by its strides alone.

    >>> channels_last(torch.zeros(2, 3, 4, 4)).stride()
    (48, 1, 12, 3)
    """
    height, width, channels = x.shape[2], x.shape[3], x.shape[1]
    strides = (height * width * channels, 1, width * channels, channels)
    return x.permute(0, 2, 3, 1).contiguous().as_strided(x.shape, strides)


def _support_rows(support: Support, query_x: Tensor) -> int | Tensor:
    """Returns the rows of support and query images together that are support images."""
    if support.real is None:
        return support.x.shape[0]
    return torch.cat([support.real, support.real.new_zeros(query_x.shape[0])])


def _of_ways(logits: Tensor, ways: Tensor | None) -> Tensor:
    """Returns logits ``(B, N)``, minus infinity for classes that the episode does not have."""
    return logits if ways is None else logits.masked_fill(~ways, -torch.inf)


def _linear(features: Tensor, head: Params) -> Tensor:
    return F.linear(features, head["head.weight"], head["head.bias"])
