"""What earlier formats say means the same in this one."""

from __future__ import annotations

import torch

from metanas_pl.algorithms.nas.evidence import Evidence, deviations
from metanas_pl.training.checkpointing.migration import with_buffers
from tests.conftest import make_module


def test_evidence_of_format_4_speaks_as_loudly_as_it_did() -> None:
    """It kept mean square and squares of weights; the error of a mean was their product."""
    weight, squares, second = (torch.rand(2, 5) + 0.5 for _ in range(3))
    first, leader = torch.randn(2, 5), torch.tensor([[1], [3]])
    mean, error = first / weight, second / weight * squares / weight.square()
    expected = (mean - mean.gather(-1, leader)) / (error + error.gather(-1, leader)).sqrt()
    before = {"evidence.a": torch.stack([weight, squares, first, second])}
    after = with_buffers(before, {})["evidence.a"]
    torch.testing.assert_close(
        deviations(Evidence(*after), leader), expected.scatter(-1, leader, 0.0)
    )


def test_a_state_without_evidence_gets_none() -> None:
    module = make_module()
    present = module.state_dict()
    earlier = {k: v for k, v in present.items() if not k.startswith(("evidence.", "usual_loss"))}
    state = with_buffers(earlier, present)
    assert state.keys() == present.keys() and state["usual_loss"].isnan()
    assert not any(value.any() for name, value in state.items() if name.startswith("evidence."))
    assert with_buffers(present, present) == present
