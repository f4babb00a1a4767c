"""Spaces by name: what ``space=NAME`` composes and builds, and what is refused in one line."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from metanas_pl.algorithms.nas.relaxations import softmax
from metanas_pl.config import (
    CellSpaceConfig,
    Conv4Config,
    Nasbench201Config,
    NASConfig,
    ResNet12Config,
    from_plain,
    plain,
)
from metanas_pl.engine.space_factory import build_space
from metanas_pl.module import MetaNASModule
from metanas_pl.search_spaces import SearchSpace
from metanas_pl.search_spaces.nasbench201.genotype import EXAMPLE
from tests.runs import compose
from tests.search_spaces.helpers import n_parameters


def make(*overrides: str, shape: tuple[int, int, int] = (1, 16, 16), ways: int = 3) -> SearchSpace:
    """The space that a command line with these overrides builds."""
    cfg = compose(overrides)
    space, nas = OmegaConf.to_object(cfg.space), OmegaConf.to_object(cfg.nas)
    assert isinstance(nas, NASConfig)
    return build_space(space, nas, shape, ways)


@pytest.mark.parametrize(
    "overrides",
    [
        ["space=darts", "space.channels=4", "space.n_cells=3", "space.reductions=[1]"],
        [
            "space=darts_20",
            "nas=fixed",
            "space.channels=4",
            "space.n_cells=2",
            "space.reductions=[1]",
        ],
        ["space=tnas", "space.channels=4"],
        ["space=tnas", "space.channels=4", "nas=fixed", "space.genotype=auto_maml_5shot"],
        ["space=nasbench201", "space.channels=4", "space.cells_per_stage=1"],
        ["space=nasbench201_compact"],
        ["space=nasbench201_compact", "nas=fixed", f"space.genotype='{EXAMPLE}'"],
        ["space=resnet12", "nas=fixed", "space.channels=[4,4,8,8]"],
        ["space=conv4", "nas=fixed", "space.channels=64"],
    ],
    ids=lambda overrides: " ".join(overrides[:3]),
)
@pytest.mark.parametrize("size", [16, 19])
def test_a_space_by_name_runs_small(overrides: list[str], size: int) -> None:
    net = make(*overrides, shape=(1, size, size))
    mixing = softmax(net.alphas())
    x = torch.randn(4, 1, size, size)
    for weights in (mixing, net.prune(mixing)):
        logits = net(x, weights)
        assert logits.shape == (4, 3) and logits.isfinite().all()
    assert bool(net.alphas()) == ("nas=fixed" not in overrides)
    genotype = net.genotype(mixing)
    assert (genotype is None) == (overrides[0] in ("space=resnet12", "space=conv4"))
    if genotype is not None:
        assert all(genotype.to_dot(cell).startswith("digraph") for cell in genotype.CELL_NAMES)


@pytest.mark.parametrize(
    ("overrides", "size"),
    [
        (["space=darts"], 1_930_618),
        (["space=darts_20", "nas=fixed"], 3_349_342),
        (["space=nasbench201", "nas=fixed", f"space.genotype='{EXAMPLE}'"], 802_426),
    ],
)
def test_defaults_are_the_published_sizes(overrides: list[str], size: int) -> None:
    """The last by hand: the skeleton's 73,306 and three 3x3 convolutions in each of 15 cells."""
    assert n_parameters(make(*overrides, shape=(3, 32, 32), ways=10)) == size


@pytest.mark.parametrize(
    ("schema", "values", "message"),
    [
        (CellSpaceConfig, {"primitives": ["conv_9x9"]}, "choose one of .*, none$"),
        (CellSpaceConfig, {"primitives": ["none"]}, "at least one primitive beside none"),
        (ResNet12Config, {"channels": [64]}, r"space.channels=\[64\].*four numbers"),
        (ResNet12Config, {"channels": [64, 64, 64, 0]}, "each at least 1"),
        (Nasbench201Config, {"cells_per_stage": 0}, "space.cells_per_stage=0.*at least 1"),
        (
            Nasbench201Config,
            {"n_nodes": 4},
            "n_nodes: there is no such key .allowed: name, builder",
        ),
    ],
)
def test_senseless_values_are_refused(schema: Any, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_plain(schema, values)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["space=nasbench201"],
            "nas=fixed needs space.genotype=<architecture string or JSON file>",
        ),
        (["space=darts"], "nas=fixed needs space.genotype=<name or JSON file>"),
        (["space=nasbench201", "space.genotype=darts_v2"], "space.genotype=darts_v2: .*neither"),
        (["space=nasbench201", "space.genotype='|none~0|'"], "nodes of 1, 2 and 3 edges"),
        (["space=darts", "space.genotype=darts_v3"], "space.genotype=darts_v3: .*darts_v2"),
    ],
)
def test_genotypes_that_do_not_fit_are_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message) as told:
        make(*overrides, "nas=fixed")
    assert "\n" not in str(told.value)


def test_a_module_completes_the_settings_of_its_space_and_its_checkpoint_holds_them() -> None:
    """So a key that came later has its default, whatever an older checkpoint holds."""
    module = MetaNASModule(
        {"builder": "metanas_pl.search_spaces.builders.conv4", "channels": 4}, {"search": False}
    )
    assert module.hparams["space"] == plain(Conv4Config(channels=4))
    assert module.space.head.in_features == 4
