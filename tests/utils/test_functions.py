"""Functions named by dotted paths, and their options."""

from __future__ import annotations

from functools import partial

import pytest

from metanas_pl.algorithms.nas.architecture_gradients import training_speed
from metanas_pl.config import NASConfig
from metanas_pl.utils.functions import resolve, resolve_all

STEPS = "metanas_pl.algorithms.nas.architecture_gradients"


@pytest.mark.parametrize("path", ["nowhere.f", f"{STEPS}.nothing", "f", "", f"{STEPS}.annotations"])
def test_what_is_no_function_is_named(path: str) -> None:
    with pytest.raises(ValueError, match="nas.alpha_gradient="):
        resolve(path, "nas.alpha_gradient")


def test_options_go_to_the_function_that_takes_them() -> None:
    nas = NASConfig(alpha_gradient=f"{STEPS}.training_speed", options={"unrolled_steps": 2})
    found = resolve_all(nas, "nas", ("alpha_gradient", "noise"))
    assert found["noise"] is None
    assert isinstance(found["alpha_gradient"], partial)
    assert found["alpha_gradient"].func is training_speed
    assert found["alpha_gradient"].keywords == {"unrolled_steps": 2}


def test_an_unknown_option_is_refused_with_the_known_ones() -> None:
    nas = NASConfig(
        name="tse_darts", alpha_gradient=f"{STEPS}.training_speed", options={"steps": 2}
    )
    with pytest.raises(
        ValueError, match=r"nas.options.steps=2: nas=tse_darts has .* unrolled_steps"
    ):
        resolve_all(nas, "nas", ("alpha_gradient",))
