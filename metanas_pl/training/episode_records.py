"""What a test keeps of every episode: one row each, gathered over processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from metanas_pl.engine.evaluation import Evaluation
from metanas_pl.engine.metrics import pixel_nearest_neighbour
from metanas_pl.search_spaces.base import SearchSpace
from metanas_pl.search_spaces.costs import Costs, reachable_cost
from metanas_pl.training.ranks import of_all_ranks
from metanas_pl.types import Mixing

if TYPE_CHECKING:
    from metanas_pl.types import Episodes

ACCURACIES = {
    "accuracy": "accuracy",
    "accuracy_transductive": "transductive",
    "accuracy_pruned": "pruned",
    "accuracy_before_adaptation": "before",
}
"""Name of each accuracy in logs and files, and its field of ``Evaluation``."""
ARM = "accuracy_arm_"
"""Beginning of the name of the accuracy of an arm (``engine.arms``)."""
GAINS = {
    "adaptation_gain": ("accuracy", f"{ARM}frozen"),
    "own_minus_frozen": (f"{ARM}own", f"{ARM}frozen"),
    "own_minus_same_group": (f"{ARM}own", f"{ARM}same_group"),
    "own_minus_other_group": (f"{ARM}own", f"{ARM}other_group"),
    "own_minus_shuffled": (f"{ARM}own", f"{ARM}shuffled"),
    "best_minus_frozen": (f"{ARM}best", f"{ARM}frozen"),
}
"""Paired differences of accuracies: which, and less which."""

DECISIONS = {"choices_changed": "changed", "choices_in_reach": "in_reach"}
"""Shares of the choices, and their fields of ``Evaluation``."""

Row = dict[str, float | str]
Rows = list[Row]


def rows_of(
    space: SearchSpace,
    costs: Mapping[str, Costs],
    batch: Episodes,
    result: Evaluation,
    arms: Mapping[str, Tensor],
    seconds: float,
) -> Rows:
    """Returns a row for each episode of ``batch``: accuracies, costs and genotype of the adapted network.

    Args:
        space: the search space.
        costs: costs of its parts, by kind.
        batch: the episodes.
        result: what came of them.
        arms: accuracies ``(T,)`` of the arms of the test.
        seconds: adaptation and test of one episode.
    """
    pixels, rows = pixel_nearest_neighbour(batch), []
    for t, index in enumerate(batch.index.tolist()):
        relaxed = {k: w[t] for k, w in result.mixing.items()}
        mixing = space.prune(relaxed)
        genotype = space.genotype(mixing)
        row: Row = {"episode": index}
        row |= {key: float(getattr(result, field)[t]) for key, field in ACCURACIES.items()}
        row |= {f"{ARM}{arm}": float(values[t]) for arm, values in arms.items()}
        row |= {key: float(getattr(result, field)[t]) for key, field in DECISIONS.items()}
        row |= {"set_of_alphas": int(result.chosen[t])}
        row |= {"pixel_nn": float(pixels[t]), "loss": float(result.loss[t])}
        row["options_pruned"] = n_removed(relaxed, mixing)
        row |= {kind: reachable_cost(space, cost, mixing) for kind, cost in costs.items()}
        text = "" if genotype is None else str(genotype).replace("\n", "; ")
        rows.append({**row, "genotype": text, "seconds": seconds})
    return rows


def gains(accuracies: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns the paired differences that these accuracies ``(T,)`` have; NaN without a partner.

    >>> import torch
    >>> gains({"accuracy": torch.tensor([0.6]), "accuracy_arm_frozen": torch.tensor([0.5])})
    {'adaptation_gain': tensor([0.1000])}
    """
    return {
        name: accuracies[more] - accuracies[less]
        for name, (more, less) in GAINS.items()
        if more in accuracies and less in accuracies
    }


def n_removed(relaxed: Mixing, pruned: Mixing) -> int:
    """Returns how many options that still had a mixing weight are removed by hard pruning.

    >>> import torch
    >>> n_removed({"a": torch.tensor([0.6, 0.4])}, {"a": torch.tensor([1.0, 0.0])})
    1
    """
    return sum(int(((w != 0) & (pruned[k] == 0)).sum()) for k, w in relaxed.items())


def gathered(rows: Rows) -> Rows:
    """Returns rows of all processes, in the order of the episodes."""
    return sorted(of_all_ranks(rows), key=lambda row: float(row["episode"]))
