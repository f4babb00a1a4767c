"""What is no episode is refused with the way out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from metanas_pl import EpisodeDataModule
from metanas_pl.errors import UserError
from tests.conftest import loader, make_module, trainer


@pytest.mark.parametrize(
    "use",
    [
        lambda module: module(torch.zeros(2, 1, 12, 12)),
        lambda module: trainer().predict(module, loader()),
        lambda module: module.to_onnx("never.onnx", torch.zeros(2, 1, 12, 12)),
        lambda module: module.to_torchscript(),
        lambda module: module.to_tensorrt(),
    ],
    ids=["call", "predict", "onnx", "torchscript", "tensorrt"],
)
def test_images_alone_are_no_episode(use: Callable[[Any], Any]) -> None:
    with pytest.raises(UserError, match="no forward pass.*EpisodeDataModule"):
        use(make_module())


@pytest.mark.parametrize("use", ["fit", "validate", "test"])
def test_a_loader_of_tuples(use: str) -> None:
    pairs = DataLoader(TensorDataset(torch.zeros(4, 1, 12, 12), torch.zeros(4)), batch_size=2)
    loaders = (pairs, pairs) if use == "fit" else (pairs,)
    with pytest.raises(UserError, match="gives a list.*data.Episode: take an EpisodeDataModule"):
        getattr(trainer(), use)(make_module(), *loaders)


@pytest.mark.parametrize("use", ["fit", "validate", "test"])
@pytest.mark.parametrize("shape", [(1, 32, 32), (3, 12, 12), (12, 12, 1)])
def test_images_of_another_shape(
    use: str, shape: tuple[int, int, int], data: EpisodeDataModule
) -> None:
    module = make_module("fomaml", image_shape=shape)
    with pytest.raises(UserError) as refused:
        getattr(trainer(), use)(module, data)
    assert "(1, 12, 12)" in str(refused.value) and f"image_shape={shape}" in str(refused.value)
