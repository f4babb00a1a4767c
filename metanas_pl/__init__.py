"""metanas_pl: meta-learning of neural architectures for few-shot learning, on PyTorch Lightning.

The public names load on first use, so ``import metanas_pl`` is instant. All else is private to its folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from metanas_pl.utils.lazy import lazy_names

if TYPE_CHECKING:
    from metanas_pl.algorithms.inner_loop import Adapted, inner_steps
    from metanas_pl.algorithms.inner_problem import Support
    from metanas_pl.algorithms.meta.meta_gradients import MetaGradient
    from metanas_pl.algorithms.nas.relaxations import entropy
    from metanas_pl.cli.data.show import draw_episode
    from metanas_pl.cli.report import summarize
    from metanas_pl.data import ClassStore, Episode, EpisodeDataModule
    from metanas_pl.data.datasets.tensors import store_from_arrays
    from metanas_pl.data.store.verification import verify_store
    from metanas_pl.errors import RunFailed, UserError
    from metanas_pl.module import MetaNASModule
    from metanas_pl.plotting import draw_cell, draw_history, draw_mixing
    from metanas_pl.search_spaces.base import Context, SearchSpace
    from metanas_pl.search_spaces.genotypes.genotype import Genotype
    from metanas_pl.types import ArchitectureParameter, Theta

_HOMES = {
    "Adapted": "algorithms.inner_loop",
    "ArchitectureParameter": "types",
    "ClassStore": "data",
    "Context": "search_spaces.base",
    "Episode": "data",
    "EpisodeDataModule": "data",
    "Genotype": "search_spaces.genotypes.genotype",
    "MetaGradient": "algorithms.meta.meta_gradients",
    "MetaNASModule": "module",
    "RunFailed": "errors",
    "SearchSpace": "search_spaces.base",
    "Support": "algorithms.inner_problem",
    "Theta": "types",
    "UserError": "errors",
    "draw_cell": "plotting",
    "draw_episode": "cli.data.show",
    "draw_history": "plotting",
    "draw_mixing": "plotting",
    "entropy": "algorithms.nas.relaxations",
    "inner_steps": "algorithms.inner_loop",
    "store_from_arrays": "data.datasets.tensors",
    "summarize": "cli.report",
    "verify_store": "data.store.verification",
}
__version__ = "0.1.0"
__all__ = [
    "Adapted",
    "ArchitectureParameter",
    "ClassStore",
    "Context",
    "Episode",
    "EpisodeDataModule",
    "Genotype",
    "MetaGradient",
    "MetaNASModule",
    "RunFailed",
    "SearchSpace",
    "Support",
    "Theta",
    "UserError",
    "draw_cell",
    "draw_episode",
    "draw_history",
    "draw_mixing",
    "entropy",
    "inner_steps",
    "store_from_arrays",
    "summarize",
    "verify_store",
]
__getattr__ = lazy_names(__name__, {name: f"{__name__}.{home}" for name, home in _HOMES.items()})
