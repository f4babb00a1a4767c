"""Agreement with reference data of an independent implementation of the method.

``METANAS_GOLDEN_DIR`` names a folder of cases; the default is ``tests/golden``. Each ``*.pt`` is a dict
whose ``kind`` is ``forward``, ``fixed`` or ``reptile_darts_first_order``. An unknown case is a failure.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call
from torch.utils import _pytree as pytree

from metanas_pl.algorithms.inner_loop import adapt
from metanas_pl.algorithms.inner_optimizers import InnerOptimizer, adam, sgd
from metanas_pl.algorithms.inner_problem import Batch, Support
from metanas_pl.algorithms.meta import meta_gradients
from metanas_pl.algorithms.nas import architecture_gradients as architecture_steps
from metanas_pl.algorithms.nas.relaxations import apply_threshold, softmax, temperatures
from metanas_pl.engine.episode_network import EpisodeNetwork
from metanas_pl.search_spaces import DerivedNetwork, Genotype, Supernet
from metanas_pl.search_spaces.costs import measure, reachable_cost
from metanas_pl.search_spaces.official_checkpoints import translate
from metanas_pl.types import Theta
from tests.algorithms.problems import FunctionProblem, inner_loop

FOLDER = Path(os.environ.get("METANAS_GOLDEN_DIR", Path(__file__).parent / "golden"))
CASES = sorted(FOLDER.glob("*.pt"))


def load(path: Path) -> dict[str, Any]:
    return torch.load(path, weights_only=True)


def test_there_are_cases() -> None:
    assert CASES, f"no *.pt in {FOLDER}"


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path) -> None:
    case = load(path)
    checks = {
        "forward": check_forward,
        "fixed": check_fixed,
        "reptile_darts_first_order": check_trajectory,
    }
    assert case["kind"] in checks, f"{path.name}: kind {case['kind']!r} is not handled"
    checks[case["kind"]](case)


def supernet(config: dict[str, Any]) -> Supernet:
    return Supernet(
        in_channels=config["cin"],
        n_ways=config["K"],
        channels=config["C"],
        n_cells=config["layers"],
        n_nodes=config["nodes"],
        reductions=config["red"],
        pair_inputs=config["pw"],
        channel_factor=config.get("scale", 1),
    )


def assert_same_names(net: torch.nn.Module, weights: dict[str, Tensor]) -> None:
    shapes = {name: p.shape for name, p in net.named_parameters()}
    assert shapes == {name: w.shape for name, w in weights.items()}


def close(actual: Any, expected: Any, tolerance: float) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=tolerance)


def check_forward(case: dict[str, Any]) -> None:
    net, theta = supernet(case["config"]), translate(case["state_dict"])
    assert_same_names(net, theta.weights)
    anneal = case["anneal"]
    steps = anneal["max_steps"]
    schedule = temperatures(steps, steps, anneal["t_max"], anneal["t_min"])
    logit_keys = [key for key in case if key.startswith("logits_step")]
    assert logit_keys
    for key in logit_keys:
        mixing = softmax(theta.alphas, schedule[int(key.removeprefix("logits_step"))])
        close(functional_call(net, theta.weights, (case["x"], mixing)), case[key], 1e-4)

    assert sum(p.numel() for p in net.parameters()) == case["n_weights"]
    assert sum(a.numel() for a in net.alphas().values()) == case["n_alphas"]
    expected = Genotype.from_dict(case["genotype"])
    costs = measure(net, "parameters", tuple(case["x"].shape[1:]))
    assert net.genotype(theta.alphas) == expected
    for threshold, count in case.get("sparse_num_params", {}).items():
        mixing = apply_threshold(softmax(theta.alphas), float(threshold))
        assert reachable_cost(net, costs, mixing) == count, f"threshold {threshold}"


def check_fixed(case: dict[str, Any]) -> None:
    config, layers = case["config"], case["config"]["layers"]
    net = DerivedNetwork(
        Genotype.load(case["genotype_name"].removeprefix("genotype_")),
        in_channels=config["cin"],
        n_ways=config["K"],
        channels=config["C"],
        n_cells=layers,
        reductions=config.get("red", [layers // 3, 2 * layers // 3]),
        channel_factor=config.get("scale", 1),
    )
    weights = translate(case["state_dict"]).weights
    assert_same_names(net, weights)
    close(functional_call(net, weights, (case["x"], {})), case["logits"], 1e-4)
    assert sum(p.numel() for p in net.parameters()) == case["n_weights"]


def inner_optimizers(inner: dict[str, Any]) -> tuple[InnerOptimizer, InnerOptimizer]:
    decay, w_decay = inner.get("alpha_weight_decay", 0.0), inner.get("w_weight_decay", 0.0)
    if inner["optimizer"] == "SGD":
        return sgd(inner["w_lr"], w_decay), sgd(inner["alpha_lr"], decay)
    assert inner["optimizer"] == "Adam"
    betas, eps = tuple(inner["betas"]), inner["eps"]
    return adam(inner["w_lr"], betas, eps, w_decay), adam(inner["alpha_lr"], betas, eps, decay)


def check_trajectory(case: dict[str, Any]) -> None:
    """In double precision: Adam turns rounding of small gradients into differences of 1e-5."""
    case = pytree.tree_map(lambda x: x.double() if is_real(x) else x, case)
    for grouped in (False, True):
        check_reptile(case, grouped)


def is_real(x: Any) -> bool:
    return isinstance(x, Tensor) and x.is_floating_point()


def check_reptile(case: dict[str, Any], grouped: bool) -> None:
    net, theta = supernet(case["config"]).double(), translate(case["init"])
    assert_same_names(net, theta.weights)
    inner, anneal = case["inner"], case["inner"]["anneal"]
    steps = inner["steps"]
    arch_steps = 0 if inner["warm_up"] else anneal["max_steps"]
    schedule = temperatures(steps, arch_steps, anneal["t_max"], anneal["t_min"])
    loop = inner_loop(
        architecture_steps.first_order,
        lambda *_: inner_optimizers(inner),
        schedule,
        0 if inner["warm_up"] else steps,
    )

    network = EpisodeNetwork(
        net,
        lambda alphas, t, mask, noise: softmax(alphas, t),
        "learned",
        case["config"]["K"],
        {},
        threshold=0.0,
        grouped=grouped,
    )
    objective = network.objective()

    states, gradients = None, []
    for task in case["tasks"]:
        n_train, n_arch = len(task["support_y"]), len(task["arch_y"])
        support = Support(
            torch.cat([task["support_x"], task["arch_x"]]),
            torch.cat([task["support_y"], task["arch_y"]]),
            torch.arange(n_train).expand(steps, -1),
            n_train + torch.arange(n_arch).expand(steps, -1),
        )

        def query_logits(point: Theta, task: Any = task) -> Tensor:
            mixing = softmax(point.alphas, schedule[-1])
            return network.logits(point.weights, mixing, Batch(task["query_x"], task["query_y"]))

        def query_loss(point: Theta, step: int, task: Any = task) -> tuple[Tensor, Tensor]:
            z, y = query_logits(point, task), task["query_y"]
            return F.cross_entropy(z, y), (z.argmax(-1) == y).double().mean()

        adapted = adapt(objective, theta, support, loop, states)
        run = FunctionProblem(lambda theta, reached=adapted: reached, query_loss)
        result = meta_gradients.reptile(theta, run)
        if not inner["fresh_state_per_task"]:
            states = result.states
        expected = translate({**task["adapted_weights"], **task["adapted_alphas"]})
        close(adapted.weights, expected.weights, 1e-5)
        close(adapted.alphas, expected.alphas, 1e-5)
        close(result.loss, torch.tensor(task["query_loss"]).double(), 1e-4)
        close(query_logits(adapted.theta, task).softmax(-1), task["query_prob"], 1e-4)
        gradients.append(result.gradient)

    assert case["meta"]["optimizer"] == "SGD"
    after = translate(case["after_meta_step"])
    for name, weight in theta.weights.items():
        step = torch.stack([g.weights[name] for g in gradients]).mean(0)
        close(weight - case["meta"]["w_lr"] * step, after.weights[name], 1e-5)
    for name, alpha in theta.alphas.items():
        step = torch.stack([g.alphas[name] for g in gradients]).mean(0)
        close(alpha - case["meta"]["a_lr"] * step, after.alphas[name], 1e-5)
