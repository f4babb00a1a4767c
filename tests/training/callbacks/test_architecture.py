"""The history of the alphas' entropy."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from metanas_pl.algorithms.nas.relaxations import entropy
from metanas_pl.training.callbacks import ArchitectureHistory
from tests.conftest import make_module


@pytest.mark.parametrize("relaxation", ["straight_through", "sigmoid", "concrete"])
def test_entropy_is_that_of_the_alphas_whatever_the_relaxation(relaxation: str) -> None:
    """A one-hot draw has no entropy and sigmoids are no distribution: neither says what is decided."""
    module = make_module(
        nas={"relaxation": f"metanas_pl.algorithms.nas.sampled_relaxations.{relaxation}"}
    )
    with torch.no_grad():
        for alpha in module.alphas.values():
            alpha.copy_(0.1 * torch.randn_like(alpha))
    history = ArchitectureHistory(run_dir="unused")
    trainer: Any = SimpleNamespace(sanity_checking=False, global_step=7)
    history.on_validation_end(trainer, module)
    (row,) = history.state_dict()["rows"]
    logits = {name: alpha.detach() for name, alpha in module.alphas.items()}
    for label, at in (("t_max", module.nas.t_max), ("t_min", module.nas.t_min)):
        soft = {name: torch.softmax(alpha / at, -1) for name, alpha in logits.items()}
        assert row[f"entropy at {label}"] == pytest.approx(float(entropy(soft)))
        assert 0 < row[f"entropy at {label}"] < 1
