"""metanas_pl: meta-learning of neural architectures for few-shot learning, on PyTorch Lightning.

The public names load on first use, so ``import metanas_pl`` is instant.
"""

from __future__ import annotations

from metanas_pl.utils.lazy import lazy_names

_HOMES = {
    "EpisodeDataModule": "metanas_pl.data",
    "Genotype": "metanas_pl.search_spaces.genotypes.genotype",
    "MetaNASModule": "metanas_pl.module",
    "store_from_arrays": "metanas_pl.data.datasets.tensors",
}
__version__ = "0.1.0"
__all__ = ["EpisodeDataModule", "Genotype", "MetaNASModule", "store_from_arrays"]
__getattr__ = lazy_names(__name__, _HOMES)
