"""metanas_pl: meta-learning of neural architectures for few-shot learning, on PyTorch Lightning.

The public names load on first use, so ``import metanas_pl`` is instant.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "EpisodeDataModule": "metanas_pl.data",
    "Genotype": "metanas_pl.search_spaces.genotypes.genotype",
    "MetaNASModule": "metanas_pl.module",
    "store_from_arrays": "metanas_pl.data.sources.tensors",
}
__version__ = "0.1.0"
__all__ = ["EpisodeDataModule", "Genotype", "MetaNASModule", "store_from_arrays"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'metanas_pl' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
