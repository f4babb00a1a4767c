"""When meta-pruning is due, what it takes, and the evidence that a checkpoint carries."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from metanas_pl.algorithms.nas.evidence import Evidence, none_yet, of_step, updated
from metanas_pl.config import NASConfig, OuterConfig
from metanas_pl.training.meta_pruning import SearchEvidence, is_due, pruned
from metanas_pl.training.outer_optimizer import check_end
from metanas_pl.types import OuterProgress
from tests import conftest
from tests.conftest import RandomEpisode, make_module, random_episode
from tests.runs import assert_equal

PATH: dict[str, Any] = {
    **{"name": "path", "alpha_signal": "path_loss", "sampled_options": 1},
    "relaxation": "metanas_pl.algorithms.nas.sampled_relaxations.straight_through",
    "meta_prune_relaxation": "metanas_pl.algorithms.nas.relaxations.softmax",
    **{"outer_t_factor": 10.0, "t_max": 0.1, "t_min": 0.1},
}
PRUNES = {"meta_prune_interval": 2, "meta_prune_threshold": 0.5, "meta_prune_deviation": 0.5}


class Episodes(torch.utils.data.Dataset[RandomEpisode]):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> RandomEpisode:
        return random_episode(seed=index)


def trained(nas: dict[str, Any], ckpt_path: Path | None = None, save_at: Path | None = None) -> Any:
    """A module after eight outer steps, the first of which are warm-up."""

    class Save(pl.Callback):
        def on_train_epoch_end(self, run: pl.Trainer, *args: Any) -> None:
            if save_at and run.current_epoch == 0:
                run.save_checkpoint(save_at)

    torch.manual_seed(0)
    module = make_module("fomaml", nas=nas, meta={"outer": {"warm_up_steps": 2}})
    run = conftest.trainer(max_epochs=2, limit_val_batches=0, callbacks=[Save()])
    loader = DataLoader(Episodes(), batch_size=None)
    run.fit(module, loader, loader, ckpt_path=ckpt_path, weights_only=True)
    return module


def test_due_at_the_interval_after_the_warm_up_in_the_later_part_of_the_training() -> None:
    nas = NASConfig(meta_prune_interval=10, meta_prune_from=0.5)
    due = [step for step in range(101) if is_due(nas, OuterProgress(step, 100, 60))]
    assert due == [70, 80, 90, 100]
    assert [s for s in range(101) if is_due(nas, OuterProgress(s, 100))] == [50, 60, *due]
    never = NASConfig(meta_prune_interval=0)
    assert not any(is_due(never, OuterProgress(step, 100)) for step in range(101))


def evidence_of(shape: tuple[int, ...], worse: int) -> Evidence:
    """Forty steps in which training wanted less of one option."""
    total, part = none_yet(torch.zeros(shape)), torch.ones(shape, dtype=torch.bool)
    for _ in range(40):
        gradient = 0.1 * torch.randn(shape)
        gradient[..., worse : worse + 1] += 1.0
        total = updated(total, of_step(gradient, part), 1.0)
    return total


def test_what_is_light_goes_only_if_the_tasks_speak_against_it() -> None:
    module = make_module()
    space, mask = module.space, module.mask()
    mixing = {name: torch.full_like(a, 0.01) for name, a in module.theta().alphas.items()}
    for weight in mixing.values():
        weight[..., 0] = 0.9
    nas = NASConfig(meta_prune_threshold=0.05)
    evidence = {name: evidence_of(tuple(m.shape), worse=2) for name, m in mask.items()}
    after, removed = pruned(nas, space, mixing, mask, evidence)
    operations = space.of_kind("operation", mask)
    for name, alive in after.items():
        expected = torch.ones_like(alive)
        expected[..., 2:3] = name not in operations
        assert torch.equal(alive, expected), name
    assert len(removed) == sum(alive[..., 0].numel() for alive in operations.values())
    assert all(gone.place.split()[-1] == "2" and gone.deviation > 3 for gone in removed)
    named = {gone.option for gone in removed}
    assert named == {space.option_name(gone.name, 2) for gone in removed}
    assert {option.name for option in removed} == set(operations)

    nothing = {name: none_yet(weight) for name, weight in mixing.items()}
    assert pruned(nas, space, mixing, mask, nothing)[1] == []
    by_weight = NASConfig(meta_prune_threshold=0.05, meta_prune_deviation=0.0)
    after, _ = pruned(by_weight, space, mixing, mask, nothing)
    assert all((after[name].sum(-1) == 1).all() for name in operations)


def test_evidence_fades_over_a_quarter_of_the_training() -> None:
    """After so many steps without any, the weight of a step is 1/e."""
    total = 4000
    evidence = SearchEvidence({"a": torch.zeros(1, 2)})
    both = torch.ones(1, 2, dtype=torch.bool)
    evidence.add({"a": of_step(torch.tensor([[0.0, 1.0]]), both)}, total)
    for _ in range(total // 4):
        evidence.add({"a": none_yet(torch.zeros(1, 2))}, total)
    assert float(evidence.value()["a"].weight[0, 0]) == pytest.approx(math.exp(-1), rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    "nas", [PATH, {"sampled_options": None}, {"sampled_options": 2}], ids=["path", "all", "two"]
)
def test_a_resumed_search_equals_an_undisturbed_one(nas: dict[str, Any], tmp_path: Path) -> None:
    """With its alphas, evidence, usual loss and what meta-pruning left, bit for bit."""
    whole = trained({**nas, **PRUNES}, save_at=tmp_path / "x.ckpt")
    saved = torch.load(tmp_path / "x.ckpt", weights_only=True)["state_dict"]
    assert saved["usual_loss"].isfinite()
    weights = {k: v[0] for k, v in saved.items() if k.startswith("evidence.") and v.shape[-1] > 1}
    assert weights and all(weight.any() for weight in weights.values())
    resumed = trained({**nas, **PRUNES}, ckpt_path=tmp_path / "x.ckpt")
    assert_equal(resumed.state_dict(), whole.state_dict())
    start = make_module("fomaml", nas=nas).theta().alphas
    assert any(not torch.equal(a, start[name]) for name, a in whole.theta().alphas.items())


@pytest.mark.parametrize(
    ("nas", "name"),
    [
        ({"outer_t_factor": 10.0}, "nas.outer_t_factor=10"),
        ({"outer_t_factor": 1.0, "meta_prune_interval": 5}, "nas.meta_prune_from=0.5"),
    ],
)
def test_what_goes_by_the_share_of_the_training_needs_its_end(
    nas: dict[str, Any], name: str
) -> None:
    with pytest.raises(ValueError, match=f"{name} goes by the share .* has no end"):
        check_end(NASConfig(**nas), OuterConfig(), math.inf, is_timed=False)
    check_end(NASConfig(**nas), OuterConfig(), math.inf, is_timed=True)
    check_end(NASConfig(**nas), OuterConfig(), 100, is_timed=False)
    check_end(NASConfig(outer_t_factor=1.0), OuterConfig(), math.inf, is_timed=False)
