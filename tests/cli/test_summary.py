"""The header of a run says what is in force, and nothing that is not."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from metanas_pl.cli import app, summary, train
from metanas_pl.cli.factories import make_module
from metanas_pl.cli.summary import describe
from metanas_pl.search_spaces.genotypes.genotype import Genotype
from metanas_pl.training.callbacks import EpisodeProgressBar
from tests import runs


def lines_of(*overrides: str) -> dict[str, str]:
    """The header of a run by the name of its line."""
    small = ("space=metanas_compact", "space.channels=4", "run_dir=here")
    config = app.to_config(runs.compose([*small, *overrides]))
    lines = describe(config, make_module(config)).splitlines()
    assert all(len(line) <= 150 for line in lines)
    return {line[:10].strip(): line[10:] for line in lines}


def test_the_default_in_ten_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary, "processor", lambda: None)
    lines = lines_of("trainer.max_steps=700")
    names = ["data", "training", "space", "nas", "search", "meta", "inner", "outer", "test", "run"]
    assert list(lines) == names
    assert lines["training"] == "700 outer steps x 6 tasks, 1 shot, 5 queries per class, seed 0"
    assert lines["nas"] == (
        "darts_first_order, T 0.05, first 20 times as high, 2 sampled options of each choice, "
        "threshold 0.01, meta-pruning every 10 steps"
    )
    assert lines["meta"] == (
        "fomaml, adapts all weights and the alphas, head starts empty, backend grouped"
    )
    assert lines["inner"] == (
        "sgd and adam (alphas), 3 steps, rates 0.1 (weights) 3 (head) 0.01 (alphas); 5 steps at test"
    )
    assert lines["outer"] == (
        "adam, rates 0.01 (weights) 0.02 (alphas), cosine schedule, alphas rest for 40 steps"
    )


@pytest.mark.parametrize(
    ("meta", "adapts", "inner"),
    [
        (
            "protonet",
            "adapts the alphas, head of class means",
            "adam (alphas), 3 steps, rates 0.01",
        ),
        (
            "anil",
            "adapts the head and the alphas, head starts empty",
            "rates 3 (head) 0.01 (alphas)",
        ),
        (
            "boil",
            "adapts the body and the alphas, learned head",
            "rates 0.1 (weights) 0.01 (alphas)",
        ),
        (
            "protomaml",
            "adapts all weights and the alphas, head starts from class means",
            "3 (head)",
        ),
        (
            "meta_sgd",
            "adapts all weights and the alphas",
            "learned rates from 0.1 (weights) 3 (head)",
        ),
        ("mamlpp", "adapts all weights", "batch norms per step; 5 steps at test"),
        ("imaml", "adapts all weights", "proximal 0.5;"),
    ],
)
def test_what_adapts_and_at_which_rates(meta: str, adapts: str, inner: str) -> None:
    lines = lines_of(f"meta={meta}")
    assert adapts in lines["meta"]
    assert inner in lines["inner"]
    learned = {"meta_sgd": "0.005 (inner rates)", "mamlpp": "0.001 (inner rates and norms)"}
    assert ("inner rates" in lines["outer"]) == (meta in learned)
    assert learned.get(meta, "") in lines["outer"]


def test_a_dirichlet_distribution_has_no_temperature() -> None:
    nas = lines_of("nas=drnas", "nas.meta_prune_interval=0")["nas"]
    assert nas == "drnas, 2 sampled options of each choice, threshold 0.01"
    assert "T 1," in lines_of("nas.t_max=1", "nas.t_min=1")["nas"]


@pytest.mark.parametrize("nas", ["drnas", "random", "gdas"])
def test_the_progress_bar_shows_a_temperature_where_there_is_one(nas: str) -> None:
    options = ["space.channels=4", "run_dir=here", "meta.outer.warm_up_steps=0", f"nas={nas}"]
    module = make_module(app.to_config(runs.compose(options)))
    seen = {"alpha/entropy": torch.tensor(0.5), "alpha/temperature": torch.tensor(0.2)}
    trainer: Any = SimpleNamespace(
        callback_metrics=seen, global_step=1, max_steps=9, training=False
    )
    module._trainer = trainer
    fields = EpisodeProgressBar().get_metrics(trainer, module)
    assert fields.get("T") == ("0.2" if nas == "gdas" else None)


def test_a_random_architecture_has_no_temperature_and_no_rates_of_alphas() -> None:
    lines = lines_of("nas=random")
    assert lines["nas"] == "random, the alphas stay as they are, a new draw for every task"
    assert "alphas" not in lines["meta"] + lines["inner"] + lines["outer"]


def test_options_of_the_nas_method_are_shown() -> None:
    assert "sdarts, radius 0.03, T" in lines_of("nas=sdarts")["nas"]


def test_a_fixed_network(tmp_path: Path) -> None:
    cell = [[("conv_3x3", 0), ("skip_connect", 1)]]
    Genotype(cell, cell).save(tmp_path / "g.json")
    lines = lines_of("nas=fixed", f"space.genotype={tmp_path / 'g.json'}")
    assert lines["nas"] == "fixed"
    assert f"genotype {tmp_path / 'g.json'}, " in lines["space"]
    assert lines["space"].endswith(" weights, nothing to search")
    assert "alphas" not in lines["meta"] + lines["inner"] + lines["outer"]


def test_a_backbone_under_a_search_and_under_none() -> None:
    conv4 = ("space=conv4", "meta=protonet")
    assert lines_of(*conv4)["nas"] == "darts_first_order, which finds nothing to search"
    lines = lines_of(*conv4, "nas=fixed")
    assert lines["nas"] == "fixed"
    assert "adapts nothing" in lines["meta"]
    assert lines["inner"] == "no step changes anything"


def test_the_length_of_training_without_a_number_of_steps() -> None:
    epochs = lines_of("trainer.max_steps=-1", "trainer.max_epochs=3")["training"]
    assert epochs.startswith("3 epochs of 100 outer steps x 6 tasks")
    endless = lines_of("trainer.max_steps=-1")["training"]
    assert endless.startswith("endless epochs of 100 outer steps")


def test_it_says_what_the_cells_are_compiled_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary, "processor", lambda: "AVX2")
    assert lines_of()["meta"].endswith("backend grouped, cells compiled for AVX2")
    assert lines_of("meta.backend=vmap")["meta"].endswith("backend vmap")


def test_carried_states_have_no_backend() -> None:
    lines = lines_of("meta=reptile", "meta.inner.state=carried", "meta.inner.arch_steps=2")
    assert "inner states carried from task to task" in lines["meta"]
    assert "3 steps (2 for the alphas)" in lines["inner"]


@pytest.mark.parametrize(
    ("options", "chance"),
    [
        (("evaluation.adapt=alphas",), True),
        (("evaluation.adapt=nothing",), True),
        (("evaluation.adapt=weights",), False),
        (("evaluation.adapt=alphas", "meta.head=learned"), False),
    ],
)
def test_title_says_when_an_empty_head_can_only_guess(
    options: tuple[str, ...], chance: bool
) -> None:
    config = app.to_config(runs.compose(["space.channels=4", "run_dir=here", *options]))
    assert ("chance" in train.title(config, make_module(config))) == chance
