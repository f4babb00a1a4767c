"""The LightningModule: injected gradients, schedules, warm-up, meta-pruning, evaluation."""

from __future__ import annotations

import pickle
import warnings
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import (
    EarlyStopping,
    EMAWeightAveraging,
    LearningRateMonitor,
    StochasticWeightAveraging,
)
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from pytorch_lightning.tuner import Tuner

from metanas_pl import EpisodeDataModule
from metanas_pl.cli import app, factories
from metanas_pl.errors import UserError
from tests.conftest import loader, make_module, random_episode, trainer
from tests.runs import assert_equal, compose


@pytest.mark.parametrize("rule", ["reptile", "fomaml"])
def test_an_outer_step_moves_everything_but_the_empty_head(rule: str) -> None:
    inner = {"steps": 2, "alpha_weight_decay": 0.0}
    module = make_module(
        rule, nas={"threshold": 0.0, "sampled_options": None}, meta={"inner": inner}
    )
    before = {k: p.clone() for k, p in module.named_parameters()}
    trainer(max_steps=1).fit(module, loader())
    for name, parameter in module.named_parameters():
        moved = not torch.equal(before[name], parameter)
        single_pair = name.endswith("pair_0")  # a softmax over one option has no gradient
        assert moved == ("head" not in name and not single_pair), name


def test_reptile_with_sgd_at_rate_one_lands_on_the_mean_adapted_point() -> None:
    module, episode = make_module(meta={"outer": {"weight_lr": 1.0, "alpha_lr": 0.6}}), None
    episode = random_episode(seed=0)
    theta = module.theta()
    theta = type(theta)(*({k: v.clone() for k, v in part.items()} for part in theta))
    result, _ = module.learner.meta_gradient(theta, episode, seed=0, mask=module.mask())
    trainer(max_steps=1).fit(module, loader())
    after = module.theta()
    for name, weight in theta.weights.items():
        expected = weight - result.gradient.weights[name]
        torch.testing.assert_close(after.weights[name], expected, rtol=1e-5, atol=1e-6)
    for name, alpha in theta.alphas.items():
        expected = alpha - 0.6 * result.gradient.alphas[name]
        torch.testing.assert_close(after.alphas[name], expected, rtol=1e-5, atol=1e-6)


def test_each_group_is_clipped_on_its_own() -> None:
    """With SGD the step is rate times gradient, so its norm is at most rate times the bound."""
    outer = {"weight_lr": 1.0, "alpha_lr": 0.5, "clip_norm": 1e-3}
    module = make_module("fomaml", meta={"outer": outer})
    before = module.theta()
    before = type(before)(*({k: v.clone() for k, v in part.items()} for part in before))
    trainer(max_steps=1).fit(module, loader())
    after = module.theta()
    for part, rate in (("weights", 1.0), ("alphas", 0.5)):
        old, new = getattr(before, part), getattr(after, part)
        moved = torch.cat([(new[k] - v).reshape(-1) for k, v in old.items()]).norm()
        torch.testing.assert_close(moved, torch.tensor(rate * 1e-3), rtol=0.02, atol=0)


@pytest.mark.parametrize(
    ("meta", "nas"),
    [
        ("reptile", "sdarts"),
        ("mamlpp", "gdas"),
        ("imaml", "fair_darts"),
        ("protonet", "drnas"),
        ("meta_sgd", "pc_darts"),
        ("anil", "darts_first_order nas.cost.kind=flops"),
    ],
)
def test_a_module_can_be_copied_and_pickled(meta: str, nas: str, tmp_path: Path) -> None:
    options = [f"meta={meta}", *f"nas={nas}".split(), "space.channels=8", f"run_dir={tmp_path}"]
    module = factories.make_module(app.to_config(compose(options)))
    for copy in (deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert_equal(copy.state_dict(), module.state_dict())
        assert str(copy.genotype()) == str(module.genotype())
        assert copy.hparams == module.hparams


class Patience(pl.Callback):
    """Ends a training that should not have begun."""

    def on_train_batch_end(self, run: pl.Trainer, *args: Any) -> None:
        raise AssertionError("it trains")


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_a_schedule_needs_an_end(schedule: str) -> None:
    module = make_module(meta={"outer": {"schedule": schedule}})
    with pytest.raises(ValueError, match=f"meta.outer.schedule={schedule} goes by .* has no end"):
        trainer(max_steps=-1, max_epochs=-1, callbacks=[Patience()]).fit(module, loader())


def test_a_schedule_follows_the_clock_that_ends_the_training() -> None:
    module = make_module(meta={"outer": {"schedule": "linear", "weight_lr": 1.0}})
    rates: list[float] = []

    class Note(pl.Callback):
        def on_train_batch_end(self, run: pl.Trainer, *args: Any) -> None:
            rates.append(run.optimizers[0].param_groups[0]["lr"])

    class Clock(pl.Callback):
        seconds = 0.0

        def time_elapsed(self) -> float:
            return self.seconds

        def time_remaining(self) -> float:
            return 4.0 - self.seconds

        def on_train_batch_start(self, run: pl.Trainer, *args: Any) -> None:
            self.seconds += 1.0
            run.should_stop = self.seconds == 4.0

    run = trainer(max_steps=-1, max_epochs=-1, callbacks=[Clock(), Note()])
    run.fit(module, loader())
    assert rates[:3] == pytest.approx([0.75, 0.5, 0.25])


def test_a_schedule_follows_max_time() -> None:
    module = make_module(meta={"outer": {"schedule": "linear", "weight_lr": 1.0}})
    rates: list[float] = []

    class Note(pl.Callback):
        def on_train_batch_end(self, run: pl.Trainer, *args: Any) -> None:
            rates.append(run.optimizers[0].param_groups[0]["lr"])
            run.should_stop = len(rates) == 2

    clock = {"max_time": {"hours": 1}, "max_steps": -1, "max_epochs": -1}
    trainer(**clock, callbacks=[Note()]).fit(module, loader())
    assert 1 > rates[0] > rates[1] > 0


def test_carried_states_pass_from_task_to_task() -> None:
    module = make_module(meta={"inner": {"state": "carried", "steps": 2}})
    episode = random_episode(tasks=3)
    _, states = module.learner.meta_gradient(module.theta(), episode, seed=0, mask=module.mask())
    assert float(states[0].step) == 6
    module.carried_states = states
    checkpoint: dict[str, Any] = {}
    module.on_save_checkpoint(checkpoint)
    other = make_module(meta={"inner": {"state": "carried", "steps": 2}})
    other.on_load_checkpoint(checkpoint)
    torch.testing.assert_close(other.carried_states[0].second, states[0].second)


def test_bare_test_in_inference_mode() -> None:
    module = make_module()
    metrics = trainer(inference_mode=True).test(module, loader(), verbose=False)[0]
    rows = module.gathered_test_rows()
    mean = sum(row["accuracy"] for row in rows) / len(rows)
    assert metrics["test/accuracy"] == pytest.approx(mean)
    assert all(row["parameters"] > 0 and row["genotype"] for row in rows)


def test_unknown_function_names_its_key() -> None:
    with pytest.raises(ValueError, match="meta.meta_gradient=no.such.function cannot be imported"):
        make_module(meta={"meta_gradient": "no.such.function"})


# -- Lightning's habits -----------------------------------------------------------------------


def test_fit_and_test_warn_of_nothing(data: EpisodeDataModule) -> None:
    module, trains = make_module("fomaml"), trainer(max_steps=2)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        trains.fit(module, data)
        trains.validate(module, data, verbose=False)
        trains.test(module, data, verbose=False)
    assert [str(warning.message) for warning in told] == []


def test_a_warning_of_other_code_is_not_hidden() -> None:
    trainer(max_steps=1).fit(make_module("fomaml"), loader())
    with pytest.warns(FutureWarning, match="LeafSpec"):
        warnings.warn("LeafSpec", FutureWarning, stacklevel=1)


@pytest.mark.parametrize("shape", [(12, 12), (1, 0, 12), ()])
def test_a_shape_that_is_none(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=r"image_shape=.*\(C, H, W\)"):
        make_module(image_shape=shape)


def test_a_compiled_module_is_refused_before_anything_is_compiled() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch's own, as it loads the compiler
        compiled: Any = torch.compile(make_module())
    with pytest.raises(UserError, match="torch.compile.*the module itself"):
        trainer().fit(compiled, loader())


@pytest.mark.parametrize("precision", ["16-mixed", "bf16-mixed"])
def test_mixed_precision_is_refused_in_a_line(precision: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # 16-mixed becomes bf16-mixed
        trains = trainer(precision=precision)
    with pytest.raises(
        UserError, match="^trainer.precision=.*16-mixed: .*take 32, 64 or bf16-true$"
    ):
        trains.fit(make_module(), loader())


@pytest.mark.parametrize(
    ("precision", "dtype"), [(64, torch.float64), ("bf16-true", torch.bfloat16)]
)
def test_another_precision_learns(precision: Any, dtype: torch.dtype) -> None:
    """Episodes, parameters and inner states are of it, and an episode is learned."""
    module, run = make_module("fomaml"), trainer(max_steps=1, precision=precision)
    run.fit(module, loader())
    assert {parameter.dtype for parameter in module.parameters()} == {dtype}
    (tested,) = run.test(module, loader(), verbose=False)
    assert tested["test/accuracy"] > tested["test/accuracy_before_adaptation"] + 0.1


def test_a_rate_that_lightning_tries_is_that_of_the_weights() -> None:
    module = make_module("fomaml")
    module.learning_rate = 0.25
    assert module.learning_rate == module.meta.outer.weight_lr == 0.25
    assert module.hparams["meta"]["outer"]["weight_lr"] == 0.25


def test_ranks_that_resume_after_different_steps_are_refused() -> None:
    module = make_module()
    reduced = SimpleNamespace(reduce=lambda *_, **__: torch.tensor([7, -5]))
    module._trainer = SimpleNamespace(strategy=reduced, global_step=5)
    module.trainer.fit_loop = None
    with pytest.raises(UserError, match="ranks resume after outer steps 5 to 7: put hydra.run.dir"):
        module.on_train_start()


@pytest.mark.slow
def test_lr_find_suggests_an_outer_rate_and_leaves_the_rest_as_it_was(
    data: EpisodeDataModule, tmp_path: Path
) -> None:
    module = make_module("fomaml")
    before = {name: value.clone() for name, value in module.state_dict().items()}
    found: Any = Tuner(trainer(max_epochs=20, default_root_dir=tmp_path)).lr_find(
        module, data, num_training=20
    )
    rate = found.suggestion()
    assert len(found.results["lr"]) == 20 and rate in found.results["lr"]
    assert module.learning_rate == module.meta.outer.weight_lr == rate
    assert module.hparams["meta"]["outer"]["weight_lr"] == rate
    assert_equal(module.state_dict(), before)
    trains = trainer(max_steps=1)
    trains.fit(module, data)
    assert trains.optimizers[0].param_groups[0]["initial_lr"] == rate


SETTINGS: dict[str, tuple[dict[str, Any], int]] = {
    "fast_dev_run": ({"fast_dev_run": True}, 1),
    "overfit_batches": ({"overfit_batches": 1, "max_epochs": 3}, 3),
    "limits": ({"limit_train_batches": 0.5, "limit_val_batches": 1, "max_epochs": 2}, 4),
    "no_validation": ({"limit_val_batches": 0}, 4),
    "val_check_interval": ({"val_check_interval": 3, "check_val_every_n_epoch": None}, 4),
    "sanity": ({"num_sanity_val_steps": -1}, 4),
    "stops": ({"callbacks": [EarlyStopping("val/loss", min_delta=9)], "max_epochs": 9}, 16),
    "ema": ({"callbacks": [EMAWeightAveraging()]}, 4),
    "swa": ({"callbacks": [StochasticWeightAveraging(0.01, 1)], "max_epochs": 3}, 12),
    "anomaly": ({"detect_anomaly": True, "max_steps": 1}, 1),
    "clipping": ({"gradient_clip_val": 0.5}, 4),
}


LONG = {"stops", "swa", "anomaly", "sanity", "limits", "val_check_interval"}
TRIED = [
    pytest.param(*setting, marks=pytest.mark.slow if name in LONG else (), id=name)
    for name, setting in SETTINGS.items()
]


@pytest.mark.parametrize(("settings", "n_steps"), TRIED)
@pytest.mark.filterwarnings("ignore:SWA is currently only supported every epoch")
def test_settings_of_the_trainer(
    settings: dict[str, Any], n_steps: int, data: EpisodeDataModule
) -> None:
    module, trains = make_module("fomaml"), trainer(**settings)
    trains.fit(module, data)
    assert trains.global_step == n_steps
    (tested,) = trains.test(module, data, verbose=False)
    assert 0 <= tested["test/accuracy"] <= 1
    assert all(value.isfinite().all() for value in module.state_dict().values())


def test_several_loggers_and_a_monitor_of_rates(data: EpisodeDataModule, tmp_path: Path) -> None:
    loggers = [CSVLogger(tmp_path / "csv"), TensorBoardLogger(tmp_path / "board")]
    module = make_module("fomaml", meta={"outer": {"weight_lr": 0.125}})
    monitor = LearningRateMonitor()
    trainer(logger=loggers, callbacks=[monitor], log_every_n_steps=1).fit(module, data)
    assert monitor.lrs["lr-SGD/weights"] == [0.125] * 4
    assert list(tmp_path.glob("csv/**/metrics.csv")) and list(tmp_path.glob("board/**/events*"))
