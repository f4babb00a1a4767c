"""The LightningModule: injected gradients, schedules, warm-up, meta-pruning, evaluation."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
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
from torch.utils import _pytree as pytree
from torch.utils.data import DataLoader, TensorDataset

from metanas_pl import EpisodeDataModule
from metanas_pl.cli import app, factories
from metanas_pl.config import EvaluationConfig
from metanas_pl.engine import batch_maker
from metanas_pl.errors import UserError
from tests.conftest import TINY_SPACE, RandomEpisode, make_module, random_episode, trainer
from tests.runs import assert_equal, compose

BY_WEIGHT = {"meta_prune_threshold": 0.9, "meta_prune_from": 0.0, "meta_prune_deviation": 0.0}
"""Meta-pruning that asks for no evidence."""


class Episodes(torch.utils.data.Dataset[RandomEpisode]):
    """Meta-batches of random episodes."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> RandomEpisode:
        return random_episode(seed=index)


def loader() -> DataLoader[RandomEpisode]:
    return DataLoader(Episodes(), batch_size=None)


@pytest.fixture(autouse=True)
def _no_worker_advice(recwarn: Any) -> None:
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")


@pytest.fixture
def data(images: Path) -> EpisodeDataModule:
    """3-way episodes of 12x12 pixels: 4 outer steps an epoch, 2 batches of validation and of test."""
    return EpisodeDataModule(
        source="folder",
        root=str(images),
        cache_dir=str(images.parent / "cache"),
        n_ways=3,
        n_queries=2,
        meta_batch_size=2,
        n_train_episodes=8,
        n_val_episodes=4,
        n_test_episodes=4,
        eval_batch_size=2,
        image_size=12,
    )


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


def test_warm_up_moves_weights_only_then_alphas() -> None:
    module = make_module(meta={"outer": {"warm_up_steps": 2}})
    start = {k: a.clone() for k, a in module.alphas.items()}
    trainer(max_steps=2).fit(module, loader())
    assert all(torch.equal(start[k], a) for k, a in module.alphas.items())
    assert all(a.grad is None for a in module.alphas.values())
    trainer(max_steps=4).fit(module, loader())  # a new trainer counts from zero again
    assert any(not torch.equal(start[k], a) for k, a in module.alphas.items())


def test_what_rests_has_no_state_in_the_outer_optimizer() -> None:
    """Else Adam's bias correction would make the first steps of the alphas too long."""
    outer = {"optimizer": "adam", "weight_lr": 0.01, "alpha_lr": 0.05, "warm_up_steps": 2}
    module = make_module("fomaml", meta={"outer": outer})
    run = trainer(max_steps=2)
    run.fit(module, loader())
    known = run.optimizers[0].state
    assert not any(alpha in known for alpha in module.alphas.values())
    assert not any(parameter in known for parameter in module.space.head.parameters())
    start = {k: a.detach().clone() for k, a in module.alphas.items()}
    run = trainer(max_steps=3)
    run.fit_loop.epoch_loop.batch_progress.reset()
    run.fit(module, loader())
    moved = [(a - start[k]).abs().max() for k, a in module.alphas.items() if a.shape[-1] > 1]
    torch.testing.assert_close(
        torch.stack(moved), torch.full((len(moved),), 0.05), rtol=0.01, atol=0
    )


@pytest.mark.parametrize(("step", "pruned"), [(2, False), (4, True)])
def test_no_meta_pruning_before_the_alphas_have_moved(step: int, pruned: bool) -> None:
    nas = {"meta_prune_interval": 2, "t_min": 1e-4, **BY_WEIGHT}
    module = make_module(nas=nas, meta={"outer": {"warm_up_steps": 2}})
    trainer(max_steps=step).fit(module, loader())
    operations = module.space.of_kind("operation", module.mask())
    assert all(mask.all() for mask in operations.values()) != pruned


def test_meta_pruning_compares_the_weights_of_the_method() -> None:
    """Gates of FairDARTS do not compete: three that are open stay, where a softmax would leave one."""
    gates = "metanas_pl.algorithms.nas.sampled_relaxations.sigmoid"
    nas = {
        "relaxation": gates,
        "t_max": 1.0,
        "t_min": 1.0,
        **BY_WEIGHT,
        "meta_prune_threshold": 0.5,
    }
    module = make_module(nas=nas)
    with torch.no_grad():
        for alpha in module.alphas.values():
            alpha.fill_(-3.0)[..., :3] = torch.tensor([9.0, 5.0, 5.0])[: alpha.shape[-1]]
    module.meta_prune(module.progress)
    for mask in module.space.of_kind("operation", module.mask()).values():
        assert mask[..., :3].all() and not mask[..., 3:].any()


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


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_a_schedule_needs_an_end(schedule: str) -> None:
    module = make_module(meta={"outer": {"schedule": schedule}})
    with pytest.raises(ValueError, match=f"meta.outer.schedule={schedule} goes by .* has no end"):
        trainer(max_steps=-1, max_epochs=-1).fit(module, loader())


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


@pytest.mark.parametrize("steps", [1, 4])
def test_what_does_not_adapt_is_the_same_network_in_every_arm(steps: int) -> None:
    module = make_module(nas={"t_max": 1.0, "t_min": 0.01, "threshold": 0.0, "test_threshold": 0.0})
    episode = random_episode()

    def tested(**plan: Any) -> Any:
        plan = EvaluationConfig(steps=steps, **plan)
        inputs = {"seed": 0, "mask": module.mask(), "plan": plan}
        return module.learner.evaluate(module.theta(), episode, **inputs)

    assert_equal(tested(adapt="weights"), tested(arch_steps=0))
    mixing = module.mixing(0.01)
    for name, weight in tested(arch_steps=0).mixing.items():
        torch.testing.assert_close(weight, mixing[name].expand_as(weight))
    softer = tested(arch_steps=0, t_min=1.0).mixing
    torch.testing.assert_close(softer["normal_0"][0], module.mixing(1.0)["normal_0"])
    assert (tested(threshold=0.9).mixing["normal_0"] > 0).sum(-1).eq(1).all()


@pytest.mark.parametrize(
    ("nas", "plan", "told"),
    [
        ({"t_min": 0.02}, {"t_max": 0.01}, r"t_max=0.01 .* falls to t_min=0\.02"),
        ({}, {"t_max": 0.2, "t_min": 0.3}, r"t_max=0.2 .* falls to t_min=0\.3"),
        ({"anneals": False, "t_max": 1.0, "t_min": 1.0}, {"t_min": 0.5}, "has no temperature"),
    ],
)
def test_temperatures_of_an_evaluation_that_would_change_nothing(
    nas: dict[str, Any], plan: dict[str, Any], told: str
) -> None:
    with pytest.raises(UserError, match=told):
        make_module(nas=nas, evaluation=plan)


def test_meta_pruning_is_for_good_and_keeps_one_primitive_of_an_edge() -> None:
    module = make_module(nas={"t_min": 0.01, **BY_WEIGHT})
    with torch.no_grad():
        for alpha in module.alphas.values():
            alpha.copy_(torch.randn_like(alpha))
    module.meta_prune(module.progress)
    for name, mask in module.mask().items():
        assert mask.all() if "pair" in name else (mask.sum(-1) == 1).all()
    with torch.no_grad():
        for name, alpha in module.alphas.items():
            alpha[~module.mask()[name]] = 50.0
    for name, weight in module.mixing().items():
        assert (weight[~module.mask()[name]] == 0).all()

    copy = make_module(nas={"t_min": 0.01, **BY_WEIGHT})
    copy.load_state_dict(module.state_dict())
    assert_equal(copy.mask(), module.mask())


NASBENCH201 = {
    "builder": "metanas_pl.search_spaces.builders.nasbench201",
    "name": "nasbench201",
    "channels": 4,
    "cells_per_stage": 1,
}


@pytest.mark.parametrize("rule", ["reptile", "fomaml", "maml"])
@pytest.mark.parametrize("space", [TINY_SPACE, NASBENCH201], ids=["cells", "nasbench201"])
def test_weights_of_what_meta_pruning_switched_off_are_left_out(
    rule: str, space: dict[str, Any], monkeypatch: Any
) -> None:
    nas = {"t_min": 0.01, **BY_WEIGHT}
    module = make_module(rule, space=space, nas=nas, meta={"gradient_order": "exact"})
    with torch.no_grad():
        for alpha in module.alphas.values():
            alpha.copy_(torch.randn_like(alpha))
    module.meta_prune(module.progress)
    network, episode = module.learner.network(3, module.mask(), 0.0), random_episode()
    unused = network.unused

    def results() -> Any:
        inputs = {"seed": 0, "mask": module.mask()}
        plan = EvaluationConfig(steps=2)
        learned, _ = module.learner.meta_gradient(module.theta(), episode, **inputs)
        tested = module.learner.evaluate(module.theta(), episode, **inputs, plan=plan)
        return learned.gradient, tested

    without = results()
    assert 0 < len(unused) < len(list(module.space.parameters()))
    assert all(not gradient.any() for k, gradient in without[0].weights.items() if k in unused)
    monkeypatch.setattr(module.space, "unused_weights", lambda alive: frozenset())
    monkeypatch.setattr(batch_maker, "to_alive", lambda mask: {})
    torch.testing.assert_close(pytree.tree_leaves(without), pytree.tree_leaves(results()))


def test_meta_pruning_leaves_a_primitive_that_a_genotype_may_name() -> None:
    primitives = ["none", "skip_connect", "conv_3x3"]
    space = {**TINY_SPACE, "primitives": primitives, "pair_inputs": False}
    module = make_module(space=space, nas={"t_max": 1.0, "t_min": 1.0, **BY_WEIGHT})
    with torch.no_grad():
        for alpha in module.alphas.values():
            alpha.copy_(torch.tensor([9.0, 0.0, 1.0]).expand_as(alpha))
    module.meta_prune(module.progress)
    expected = torch.tensor([True, False, True])
    assert all(torch.equal(mask, expected.expand_as(mask)) for mask in module.mask().values())
    pruned = module.space.prune(module.mixing())
    assert all(torch.equal(w != 0, (w != 0) & module.mask()[k]) for k, w in pruned.items())


def test_evaluation_modes() -> None:
    module = make_module(meta={"head": "learned"})  # an empty head gives alphas alone no gradient
    episode = random_episode(tasks=4, queries=5)

    def evaluate(**plan: Any) -> Any:
        return module.learner.evaluate(
            module.theta(), episode, seed=0, mask=module.mask(), plan=EvaluationConfig(**plan)
        )

    nothing = evaluate(adapt="nothing")
    torch.testing.assert_close(nothing.accuracy, nothing.before)
    network = module.learner.network(3, module.mask(), 0.05)
    start = network.mixing(module.theta().alphas, module.nas.t_min)
    for plan, moves in (({"adapt": "weights"}, False), ({"adapt": "alphas"}, True)):
        result = evaluate(**plan)
        same = all(
            torch.allclose(result.mixing[k], w.expand_as(result.mixing[k]))
            for k, w in start.items()
        )
        assert same != moves
    both = evaluate()
    assert both.inner_losses.shape == (4, 3)
    assert (both.inner_losses[:, -1] < both.inner_losses[:, 0]).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"meta": {"inner": {"test_batch_size": 2}}},
        {
            "nas": {
                "relaxation": "metanas_pl.algorithms.nas.sampled_relaxations.straight_through",
                "noise": "metanas_pl.algorithms.noise.gumbel",
            }
        },
    ],
    ids=["minibatches", "relaxation"],
)
def test_noise_of_a_test_depends_on_the_seed_of_evaluation_alone(settings: dict[str, Any]) -> None:
    state = make_module(**settings).state_dict()

    def tested(**seeds: int) -> list[dict[str, Any]]:
        module = make_module(**settings, **seeds)
        module.load_state_dict(state)
        trainer().test(module, loader(), verbose=False)
        return [{**row, "seconds": 0.0} for row in module.gathered_test_rows()]

    first = tested()
    assert tested(seed=1) == first
    assert tested(eval_seed=1) != first


def test_evaluation_of_an_episode_does_not_depend_on_its_neighbours_or_on_theta_after_it() -> None:
    module, episode = make_module(), random_episode(tasks=4, queries=5)
    plan = EvaluationConfig()
    args = {"seed": 0, "mask": module.mask(), "plan": plan}
    before = {k: v.clone() for k, v in module.state_dict().items()}
    together = module.learner.evaluate(module.theta(), episode, **args)
    for t in range(4):
        alone = RandomEpisode(*(part[t : t + 1] for part in episode))
        single = module.learner.evaluate(module.theta(), alone, **args)
        torch.testing.assert_close(single.loss[0], together.loss[t], rtol=1e-4, atol=1e-5)
    assert_equal(module.state_dict(), before)


def test_other_ways_need_an_empty_head() -> None:
    episode = random_episode(ways=4)
    args: dict[str, Any] = {"seed": 0, "plan": EvaluationConfig()}
    zero = make_module()
    assert (
        zero.learner.evaluate(zero.theta(), episode, mask=zero.mask(), **args)
        .accuracy.isfinite()
        .all()
    )
    learned = make_module(meta={"head": "learned"})
    with pytest.raises(ValueError, match="data.n_ways=4, but the meta-learned head has 3 ways"):
        learned.learner.evaluate(learned.theta(), episode, mask=learned.mask(), **args)


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
