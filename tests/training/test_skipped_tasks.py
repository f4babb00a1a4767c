"""A task that comes to nothing finite is skipped, counted and named; theta does not see it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from metanas_pl.cli import app, train
from metanas_pl.training.callbacks import SkippedEpisodes
from metanas_pl.training.skipped_tasks import TaskCounter
from tests import runs
from tests.conftest import RandomEpisode, make_module, random_episode

NAN = torch.nan


def gradients(module: Any, episode: Any) -> Any:
    return module.learner.meta_gradient(module.theta(), episode, seed=0, mask=module.mask())[0]


@pytest.mark.parametrize("backend", ["loop", "vmap", "grouped"])
@pytest.mark.parametrize("rule", ["reptile", "maml"])
def test_the_mean_is_that_of_the_other_tasks(rule: str, backend: str) -> None:
    module = make_module(rule, meta={"backend": backend}).double()
    single = random_episode(3)
    parts = (part.double() if part.is_floating_point() else part for part in single)
    episode = RandomEpisode(*parts)
    others = RandomEpisode(*(part[[0, 2]] for part in episode))
    expected = gradients(module, others)
    episode.query_x[1, 0, 0, 3, 3] = NAN
    episode.support_x[1, 0, 0, 3, 3] = NAN
    found = gradients(module, episode)
    assert found.finite.tolist() == [True, False, True]
    for wanted, got in zip(expected.gradient, found.gradient, strict=True):
        assert wanted.keys() == got.keys()
        for name in wanted:
            torch.testing.assert_close(got[name], wanted[name], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.loss, expected.loss)


def test_carried_states_pass_over_a_failed_task() -> None:
    inner = {"steps": 2, "state": "carried"}
    module, episode = make_module(meta={"inner": inner, "backend": "loop"}), random_episode(3)
    others = RandomEpisode(*(part[[0, 2]] for part in episode))
    theta, mask = module.theta(), module.mask()
    _, expected = module.learner.meta_gradient(theta, others, seed=0, mask=mask)
    episode.support_x[1] = NAN
    _, found = module.learner.meta_gradient(theta, episode, seed=0, mask=mask)
    runs.assert_equal([list(state) for state in found], [list(state) for state in expected])


class OneProcess:
    """The part of a strategy that a counter needs."""

    def reduce(self, tensor: torch.Tensor, reduce_op: str) -> torch.Tensor:
        assert reduce_op == "sum"
        return tensor


def test_a_counter_is_that_of_a_loop_over_the_tasks() -> None:
    counter, losses, skipped = TaskCounter(), [], []
    for first, finite in ((0, [True, False, True]), (3, [False, False]), (5, [True])):
        loss = torch.arange(first, first + len(finite), dtype=torch.float32).square()
        kept = loss[torch.tensor(finite)]
        losses += kept.tolist()
        skipped += [first + i for i, good in enumerate(finite) if not good]
        scores = torch.stack([kept.mean(), -kept.mean()])
        counter.add(torch.arange(first, first + len(finite)), torch.tensor(finite), scores)
    step = counter.close_step(OneProcess())
    assert (step.n_tasks, step.n_finite, step.skipped) == (6, len(losses), skipped)
    mean = sum(losses) / len(losses)
    torch.testing.assert_close(step.scores, torch.tensor([mean, -mean]))
    assert counter.take() == step and counter.take() is None and counter.n_skipped == len(skipped)
    counter.add(torch.arange(2), torch.tensor([False, False]), torch.tensor([NAN, NAN]))
    assert counter.close_step(OneProcess()).scores.isnan().all()


def planted(images: Path, run_dir: Path, episodes: list[int], *more: str) -> list[str]:
    """A run of 6 outer steps of 2 tasks, some of which fail."""
    plant = f"+callbacks.plant={{_target_: tests.runs.Plant, episodes: {episodes}}}"
    options = [*runs.tiny(images, run_dir), "trainer.max_steps=6", "meta.outer.optimizer=adam"]
    return [*options, "trainer.log_every_n_steps=1", plant, *more]


@pytest.mark.slow
def test_a_run_passes_over_failed_tasks_and_names_them(images: Path, tmp_path: Path) -> None:
    """With gradient accumulation a step has the tasks of all its batches: here 1 of 4 fails, then 4."""
    accumulated = ["trainer.accumulate_grad_batches=2", "trainer.max_steps=2", "resume=auto"]
    options = planted(images, tmp_path, [1, 4, 5, 6, 7], *accumulated)
    train.run(runs.compose(options))
    rows = runs.read_rows(tmp_path / "skipped_episodes.csv")
    expected = [("1", "1"), *(("2", str(episode)) for episode in (4, 5, 6, 7))]
    assert [(row["step"], row["episode"]) for row in rows] == expected
    steps = [r for r in runs.read_rows(tmp_path / "metrics.csv") if r["train/loss"]]
    assert [float(row["train/skipped_tasks"]) for row in steps] == [1, 5]
    checkpoint = runs.load(tmp_path / "checkpoints" / "last.ckpt")
    assert all(value.isfinite().all() for value in checkpoint["state_dict"].values())
    states = checkpoint["optimizer_states"][0]["state"].values()
    assert {int(state["step"]) for state in states} == {1}  # the second step was none
    train.run(runs.compose(options))  # resumed at its end
    assert runs.read_rows(tmp_path / "skipped_episodes.csv") == rows


def test_too_many_end_the_run_with_a_reason(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    share = "callbacks.skipped.max_share=0.2"  # 4 of the 20 tasks of ten steps
    options = planted(images, tmp_path, [1, 2, 3, 4, 5], share)
    with pytest.raises(SystemExit) as exit:
        app.with_short_errors(lambda: train.run(runs.compose(options)))
    assert exit.value.code == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: 5 tasks of the last 3 outer steps") and share in error
    assert str(tmp_path / "skipped_episodes.csv") in error
    with pytest.raises(ValueError, match="callbacks.skipped.max_share=2"):
        SkippedEpisodes(str(tmp_path), max_share=2)
