"""The Python lines of the README run."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import torch

README = Path(__file__).parent.parent / "README.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(encoding="utf-8"), re.S)


def test_python_example(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*checkpoint.*directory.*")
    code = blocks("python")[0].replace("max_steps=20", "max_steps=1, limit_test_batches=1")
    namespace: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), namespace)
    assert "normal: (" in capsys.readouterr().out
    assert namespace["trainer"].global_step == 1


def test_own_nas_method() -> None:
    from metanas_pl.functional.adaptation import Batch, InnerProblem, Objective, Pass
    from metanas_pl.functional.optimizers import sgd

    namespace: dict[str, Any] = {}
    exec(blocks("python")[1], namespace)

    def loss(w: Any, mixing: Any, batch: Batch) -> torch.Tensor:
        return (w["w"] * mixing["a"] ** 2).sum()

    weights, alphas = {"w": torch.tensor(3.0)}, {"a": torch.tensor(2.0)}
    objective = Objective(lambda alphas, temperature, noise: alphas, loss)
    one_pass = Pass(objective, Batch(torch.zeros(1), torch.zeros(1)), 1.0, {})
    problem = InnerProblem(one_pass, one_pass, weights, alphas, sgd(0.1), ())
    assert namespace["on_training_batch"](problem)["a"] == 12.0
