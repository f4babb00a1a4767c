"""The format of checkpoints: its version, what older ones lack, and what no checkpoint may ask for."""

from __future__ import annotations

import copy
import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from metanas_pl.cli import app, train
from metanas_pl.cli.evaluate import as_trained
from metanas_pl.cli.factories import check_sizes, trained_module
from metanas_pl.config import Config, NASConfig, plain
from metanas_pl.engine.space_factory import build_space, check_builder, complete
from metanas_pl.training.checkpointing import checkpoint
from metanas_pl.training.checkpointing.checkpoint import FORMAT_VERSION
from metanas_pl.training.checkpointing.migration import BEFORE_FORMAT_4, BUFFERS_OF_FORMAT_4, MOVED
from tests import runs

AS_BEFORE_FORMAT_4 = [
    f"nas.{name}={'null' if value is None else value}" for name, value in BEFORE_FORMAT_4.items()
]
"""A run that goes on from an earlier checkpoint says that it searches as that did."""


@pytest.fixture
def written(finished: Path) -> dict[str, Any]:
    """What a training wrote, to be changed."""
    return copy.deepcopy(runs.load(finished / "checkpoints" / "last.ckpt"))


def evaluated(content: dict[str, Any], folder: Path) -> Any:
    """The module that ``metanas-evaluate`` makes of a checkpoint with this content."""
    path = folder / "x.ckpt"
    torch.save(content, path)
    config = as_trained(Config(ckpt_path=str(path)), [])
    return trained_module(app.read_checkpoint(str(path)), config)


def test_the_version_is_in_it(written: dict[str, Any]) -> None:
    assert written["format_version"] == FORMAT_VERSION


def as_format_3(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """The same checkpoint as it was before the search asked for evidence."""
    old = {**deepcopy(checkpoint), "format_version": 3}
    for name in BEFORE_FORMAT_4:
        del old["hyper_parameters"]["nas"][name]
    for name in [name for name in old["state_dict"] if name.startswith(BUFFERS_OF_FORMAT_4)]:
        del old["state_dict"][name]
    return old


def as_format_2(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """The same checkpoint as it was when one seed decided about all episodes."""
    old = {**as_format_3(checkpoint), "format_version": 2}
    for group in ("hyper_parameters", "datamodule_hyper_parameters"):
        del old[group]["eval_seed"]
    return old


def as_format_1(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """The same checkpoint with the names of format 1."""
    checkpoint = as_format_2(checkpoint)
    known = checkpoint["hyper_parameters"]
    old = {new: before for before, new in MOVED.items()}
    for group in ("space", "nas", "meta"):
        for key, value in known[group].items():
            for new, before in old.items():
                if isinstance(value, str) and value.startswith(new):
                    known[group][key] = before + value.removeprefix(new)
    known["meta"]["learns_from"] = "endpoint"
    for name in ("gradient_order",):
        del known["meta"][name]
    for name in ("anneal_steps", "test_anneal_steps"):
        del known["meta"]["inner"][name]
    for name in ("input_relaxation", "meta_prune_relaxation"):
        del known["nas"][name]
    assert known["space"]["builder"] == "metanas_pl.spaces.build.cells"
    return {**checkpoint, "hyper_parameters": known, "format_version": 1}


@pytest.mark.parametrize("version", [FORMAT_VERSION + 1, -1, "1", None, True])
def test_a_newer_or_unknown_version(written: dict[str, Any], tmp_path: Path, version: Any) -> None:
    written["format_version"] = version
    with pytest.raises(ValueError, match=r"x\.ckpt has format version .*reads 0 to 5: update"):
        evaluated(written, tmp_path)


def test_one_without_version_and_with_fewer_settings_goes_on(
    written: dict[str, Any], finished: Path, images: Path, tmp_path: Path
) -> None:
    """Settings that came later are at their defaults, in which nothing changed."""
    written = as_format_1(written)
    del written["format_version"]
    del written["hyper_parameters"]["nas"]["cost"]
    del written["hyper_parameters"]["evaluation"]["other_data"]
    del written["hyper_parameters"]["space"]["pool_norm"]
    del written["datamodule_hyper_parameters"]["augment"]
    torch.save(written, tmp_path / "old.ckpt")
    options = [
        *runs.tiny(images, tmp_path / "run", draws=True),
        *AS_BEFORE_FORMAT_4,
        f"ckpt_path={tmp_path / 'old.ckpt'}",
    ]
    with pytest.warns(UserWarning, match=r"best\.ckpt of this run is gone"):  # none lies beside it
        results = train.run(runs.compose(options))
    assert results["train/outer_steps"] == 2
    before = json.loads((finished / "results.json").read_text())
    held = "test/accuracy_arm_frozen"  # alpha-steps see other images than before
    assert results[held] == before[held]
    restored = dict(evaluated(written, tmp_path).state_dict())
    runs.assert_equal({k: restored[k] for k in written["state_dict"]}, dict(written["state_dict"]))


def test_a_search_of_an_earlier_checkpoint_keeps_its_rules_and_begins_without_evidence(
    written: dict[str, Any], tmp_path: Path
) -> None:
    old = as_format_3(written)
    module = evaluated(old, tmp_path)
    nas = module.nas
    assert (nas.outer_t_factor, nas.alpha_images) == (1.0, "support")
    assert (nas.meta_prune_from, nas.meta_prune_deviation) == (0.0, 0.0)
    state = module.state_dict()
    added = state.keys() - old["state_dict"].keys()
    assert added == {k for k in state if k.startswith("evidence.")} | {"usual_loss"}
    assert not any(state[name].any() for name in added - {"usual_loss"})
    assert state["usual_loss"].isnan()


def test_a_search_of_this_format_keeps_its_evidence(
    written: dict[str, Any], tmp_path: Path
) -> None:
    """The second of two outer steps moved the alphas."""
    module = evaluated(written, tmp_path)
    assert module.nas.alpha_images == "held_out"
    for name, evidence in module.evidence.value().items():
        n = evidence.weight.shape[-1]
        expected = 0 if n == 1 else n if "pair" in name else 2  # of operations two are sampled
        assert (evidence.weight.sum(-1) == expected).all(), name
    assert module.usual_loss.isfinite()


def test_the_test_episodes_of_an_earlier_checkpoint_are_those_of_its_seed(
    written: dict[str, Any], images: Path, tmp_path: Path
) -> None:
    for group in ("hyper_parameters", "datamodule_hyper_parameters"):
        written[group]["seed"] = 7
    torch.save(as_format_2(written), tmp_path / "old.ckpt")
    config = as_trained(Config(ckpt_path=str(tmp_path / "old.ckpt")), [])
    assert (config.seed, config.data.eval_seed) == (7, 7)
    module = trained_module(app.read_checkpoint(str(tmp_path / "old.ckpt")), config)
    assert (module.seed, module.eval_seed) == (7, 7)
    options = [*runs.tiny(images, tmp_path / "run"), "seed=7", *AS_BEFORE_FORMAT_4]
    options.append(f"ckpt_path={tmp_path / 'old.ckpt'}")
    with pytest.raises(ValueError, match=r"old\.ckpt .* it was trained with data\.eval_seed=7"):
        train.run(runs.compose(options))


def test_weights_alone_can_be_evaluated(written: dict[str, Any], tmp_path: Path) -> None:
    for key in ("optimizer_states", "lr_schedulers", "loops", "callbacks"):
        del written[key]
    evaluated(written, tmp_path)


def test_no_code_by_way_of_a_builder(written: dict[str, Any], tmp_path: Path) -> None:
    """A function that calls what its argument names would do as a checkpoint pleases."""
    trap = tmp_path / "sprung"
    evil = {
        "_target_": "pathlib.Path.touch",
        "_args_": [{"_target_": "pathlib.Path", "_args_": [str(trap)]}],
    }
    written["hyper_parameters"]["space"] = {
        "name": "x",
        "builder": "hydra.utils.instantiate",
        "_target_": "builtins.dict",
        "x": evil,
    }
    with pytest.raises(
        ValueError, match=r"builder=hydra\.utils\.instantiate does not name its arg"
    ):
        evaluated(written, tmp_path)
    assert not trap.exists()


def test_what_a_module_of_ours_imported_is_not_ours() -> None:
    with pytest.raises(ValueError, match="does not name its arguments"):
        check_builder({"builder": "metanas_pl.search_spaces.cells.state.cached_property"})


@pytest.mark.parametrize(
    ("group", "key", "value"),
    [
        ("space", "channels", 10**7),
        ("space", "channels", 10**30),
        ("space", "n_cells", 10**9),
        ("space", "channels", "four"),
        ("meta", "inner", {"test_steps": 10**15}),
        ("nas", "options", {"nothing": 1}),
        ("nas", "t_max", [1]),
        ("meta", "unknown", 1),
        (None, "n_ways", 10**12),
        (None, "image_shape", [1, 10**9, 10**9]),
        (None, "image_shape", [1]),
        (None, "seed", "x"),
        (None, "eval_seed", "x"),
        (None, "_instantiator", "os.system"),
    ],
)
def test_settings_of_another_network(
    written: dict[str, Any], tmp_path: Path, group: str | None, key: str, value: Any
) -> None:
    """Refused before memory is taken for the network that they claim."""
    known = written["hyper_parameters"]
    (known if group is None else known[group])[key] = value
    with pytest.raises(ValueError):
        evaluated(written, tmp_path)


def test_parameters_of_another_network(written: dict[str, Any], tmp_path: Path) -> None:
    state = written["state_dict"]
    name = next(name for name in state if name.startswith("alphas."))
    state[name] = state[name][:, :-1].clone()
    with pytest.raises(ValueError, match=f"x.ckpt is damaged: .*size mismatch for {name}"):
        evaluated(written, tmp_path)
    del state["space.head.bias"]
    with pytest.raises(ValueError, match=r"x\.ckpt is damaged: head\.bias is not \(3,\)"):
        evaluated(written, tmp_path)


@pytest.mark.parametrize(
    ("part", "value"),
    [("loops", {"fit_loop": {"state_dict": 7}}), ("pytorch-lightning_version", "-1")],
)
def test_what_lightning_cannot_restore_is_a_mistake_of_the_file(
    part: str, value: Any, written: dict[str, Any], images: Path, tmp_path: Path
) -> None:
    written[part] = value
    torch.save(written, tmp_path / "x.ckpt")
    options = [*runs.tiny(images, tmp_path, draws=True), f"ckpt_path={tmp_path / 'x.ckpt'}"]
    with pytest.raises(ValueError, match=r"x\.ckpt does not fit this run: "):
        train.run(runs.compose(options))


def test_an_error_of_the_training_itself_stays_what_it_is() -> None:
    with pytest.raises(TypeError, match="ours"), checkpoint.going_on_from("x.ckpt"):
        raise TypeError("ours")


@pytest.mark.parametrize(
    "name", sorted(p.stem for p in Path(app.CONFIG_DIR, "space").glob("*.yaml"))
)
def test_every_space_can_be_sketched_without_memory(name: str, tmp_path: Path) -> None:
    """Otherwise its checkpoints could not be evaluated."""
    config = runs.compose([f"space={name}", f"run_dir={tmp_path}"])
    space_config = complete(OmegaConf.to_object(config.space))
    fewer = {"n_cells": 3, "reductions": [1], "cells_per_stage": 1}
    known = {"space": {k: fewer.get(k, v) for k, v in space_config.items()}}
    known |= {"nas": plain(NASConfig()), "image_shape": [1, 28, 28], "n_ways": 5}
    space = build_space(known["space"], NASConfig(), (1, 28, 28), 5)
    state = {f"space.{key}": parameter for key, parameter in space.named_parameters()}
    check_builder(known["space"])
    check_sizes(known, state, "x")
    state.popitem()
    with pytest.raises(ValueError, match="x is damaged"):
        check_sizes(known, state, "x")
