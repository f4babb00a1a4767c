"""What checkpoints of earlier formats say, in the words of this one."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    return known


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
