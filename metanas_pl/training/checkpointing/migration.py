"""What checkpoints of earlier formats say, in the words of this one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from metanas_pl.types import Settings

MOVED = {
    "metanas_pl.spaces.build.": "metanas_pl.search_spaces.builders.",
    "metanas_pl.spaces.tnas.": "metanas_pl.search_spaces.tnas.",
    "metanas_pl.functional.architecture_steps.": "metanas_pl.algorithms.nas.architecture_gradients.",
    "metanas_pl.functional.meta_gradients.imaml": "metanas_pl.algorithms.meta.implicit.imaml",
    "metanas_pl.functional.meta_gradients.": "metanas_pl.algorithms.meta.meta_gradients.",
    "metanas_pl.functional.noise.": "metanas_pl.algorithms.noise.",
    "metanas_pl.functional.perturbations.": "metanas_pl.algorithms.nas.perturbations.",
    "metanas_pl.functional.rates.": "metanas_pl.algorithms.inner_rates.",
    "metanas_pl.functional.regularisers.": "metanas_pl.algorithms.nas.regularisers.",
    "metanas_pl.functional.relaxation.": "metanas_pl.algorithms.nas.relaxations.",
    "metanas_pl.functional.sampling.": "metanas_pl.algorithms.nas.sampled_relaxations.",
}
"""Beginnings of the dotted paths of functions, until format 1 and now."""
ORDERS = {"displacement": "displacement", "endpoint": "first_order", "trajectory": "exact"}
BEFORE_FORMAT_4 = {
    "outer_t_factor": 1.0,
    "sampled_options": None,
    "alpha_images": "support",
    "meta_prune_from": 0.0,
    "meta_prune_deviation": 0.0,
}
"""Settings of the NAS method for what was always done until format 3."""
BUFFERS_OF_FORMAT_4 = ("evidence.", "usual_loss")
"""Beginnings of the names of what earlier checkpoints do not hold."""
SOFTMAX = "metanas_pl.algorithms.nas.relaxations.softmax"


def migrated(known: Settings, version: int) -> Settings:
    """Returns the hyper-parameters of a checkpoint of format ``version`` as this release writes them.

    Raises:
        LookupError, TypeError, AttributeError: they are not those of such a checkpoint.
    """
    if version < 2:
        known = _of_format_2(known)
    if version < 3:  # until then the seed of the run decided about test episodes, too
        known = {**known, "eval_seed": known["seed"]}
    if version < 4:
        known = {**known, "nas": {**known["nas"], **BEFORE_FORMAT_4}}
    return known


def with_buffers(state: Mapping[str, Tensor], of_module: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns a state with the buffers of this format.

    Until format 3 there is no evidence and no usual loss; in format 4 evidence had the squares of its
    weights in a row of their own.

    Args:
        state: of the checkpoint.
        of_module: that of the module which is to have it; its values do not matter.
    """
    start = {
        name: torch.full_like(value, torch.nan if name == "usual_loss" else 0.0)
        for name, value in of_module.items()
        if name.startswith(BUFFERS_OF_FORMAT_4)
    }
    return {**start, **{name: _of_format_5(name, value) for name, value in state.items()}}


def _of_format_5(name: str, value: Tensor) -> Tensor:
    """Returns evidence of format 4 with rows of weight, sum and the variance of the sum."""
    if not name.startswith(BUFFERS_OF_FORMAT_4[0]) or len(value) != 4:
        return value
    weight, squares, first, second = value
    return torch.stack([weight, first, second * squares / weight.clamp_min(1e-12)])


def _of_format_2(known: Settings) -> Settings:
    """Returns the hyper-parameters of format 0 or 1 as format 2 has them."""
    groups = {key: _renamed(known[key]) for key in ("space", "nas", "meta")}
    nas, meta = groups["nas"], groups["meta"]
    if "learns_from" in meta:
        meta["gradient_order"] = ORDERS[meta.pop("learns_from")]
    inner = meta["inner"] = dict(meta["inner"])
    for stage in ("", "test_"):  # T fell while the alphas adapted
        inner[f"{stage}anneal_steps"] = inner.get(f"{stage}arch_steps") or None
    relaxation = str(nas["relaxation"])
    if relaxation.endswith(".sigmoid"):
        nas["input_relaxation"] = SOFTMAX
    if relaxation.endswith((".straight_through", ".uniform_one_hot")):
        nas["meta_prune_relaxation"] = SOFTMAX
    return {**known, **groups}


def _renamed(group: Settings) -> Settings:
    """Returns the settings of a group with the present paths of functions."""
    return {key: _path(value) if isinstance(value, str) else value for key, value in group.items()}


def _path(value: str) -> str:
    """Returns the present path of a function.

    >>> _path("metanas_pl.spaces.build.cells")
    'metanas_pl.search_spaces.builders.cells'
    """
    for old, new in MOVED.items():
        if value.startswith(old):
            return new + value.removeprefix(old)
    return value
