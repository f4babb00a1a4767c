"""Callbacks: what is shown, drawn and saved while a meta-architecture learns."""

from metanas_pl.training.callbacks.architecture import ArchitectureHistory
from metanas_pl.training.callbacks.checkpoint import RunCheckpoint
from metanas_pl.training.callbacks.interrupt import GracefulInterrupt
from metanas_pl.training.callbacks.last_validation import LastValidation
from metanas_pl.training.callbacks.progress import EpisodeProgressBar
from metanas_pl.training.callbacks.pruning import MedianPruning
from metanas_pl.training.callbacks.skipped import SkippedEpisodes
from metanas_pl.training.callbacks.utilisation import Utilisation

__all__ = [
    "ArchitectureHistory",
    "EpisodeProgressBar",
    "GracefulInterrupt",
    "LastValidation",
    "MedianPruning",
    "RunCheckpoint",
    "SkippedEpisodes",
    "Utilisation",
]
