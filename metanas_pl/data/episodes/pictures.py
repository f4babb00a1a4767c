"""The images of an episode as they were before they became numbers, class by class."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from metanas_pl.data.episodes.dataset import EpisodeDataset
from metanas_pl.data.store.class_store import ClassInfo, ClassStore


class EpisodePictures(NamedTuple):
    """One episode to look at; entry k of each list is label k.

    Attributes:
        classes: what the labels stand for.
        support: support images ``(S, C, H, W)`` uint8 of each class.
        query: query images ``(Q, C, H, W)`` uint8 of each class.
    """

    classes: list[ClassInfo]
    support: list[np.ndarray]
    query: list[np.ndarray]


def episode_pictures(dataset: EpisodeDataset, index: int) -> EpisodePictures:
    """Returns the episode ``index`` of ``dataset`` (of its current epoch), with the scaling undone."""
    episode = dataset[index]
    classes = dataset.episode_classes(index)

    def by_class(images: Tensor, labels: Tensor) -> list[np.ndarray]:
        pixels = _to_uint8(images, dataset.store)
        return [pixels[(labels == k).numpy()] for k in range(len(classes))]

    return EpisodePictures(
        classes,
        by_class(episode.support_x, episode.support_y),
        by_class(episode.query_x, episode.query_y),
    )


def _to_uint8(images: Tensor, store: ClassStore) -> np.ndarray:
    if store.mean is not None and store.std is not None:
        mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (store.mean, store.std))
        images = images * std + mean
    pixels: np.ndarray = (images * 255).round().clamp(0, 255).byte().numpy()
    return pixels
