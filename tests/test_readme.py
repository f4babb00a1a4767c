"""The Python lines of the README run."""

from __future__ import annotations

import re
import shlex
import warnings
from pathlib import Path
from typing import Any

import torch

from metanas_pl.cli import train
from metanas_pl.cli.data.main import COMMANDS, make_parser
from metanas_pl.cli.data.prepare import data_config
from tests.runs import compose, make_images, tiny

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


def test_data_commands_are_understood() -> None:
    lines = re.findall(
        r"^    metanas-data (.*?)(?:  +#.*)?$", README.read_text(encoding="utf-8"), re.M
    )
    assert {line.split()[0] for line in lines} == set(COMMANDS)
    for line in lines:
        args = make_parser().parse_args(shlex.split(line))
        assert not hasattr(args, "settings") or data_config(args.name, args.settings)


def test_own_nas_method() -> None:
    from metanas_pl.algorithms.inner_loop import Batch, InnerProblem, Objective, Pass
    from metanas_pl.algorithms.inner_optimizers import sgd

    namespace: dict[str, Any] = {}
    exec(blocks("python")[1], namespace)

    def loss(w: Any, mixing: Any, batch: Batch) -> torch.Tensor:
        return (w["w"] * mixing["a"] ** 2).sum()

    weights, alphas = {"w": torch.tensor(3.0)}, {"a": torch.tensor(2.0)}
    objective = Objective(lambda alphas, temperature, noise: alphas, loss)
    one_pass = Pass(objective, Batch(torch.zeros(1), torch.zeros(1)), 1.0, {})
    problem = InnerProblem(one_pass, one_pass, weights, alphas, sgd(0.1), ())
    assert namespace["on_training_batch"](problem)["a"] == 12.0


def test_own_package(tmp_path: Path, monkeypatch: Any) -> None:
    """The blocks of the section, written to the files that they name, run by its command."""
    (command,) = re.findall(
        r"^    metanas-train (.*hydra.searchpath=.*)$", README.read_text(encoding="utf-8"), re.M
    )
    for language in ("python", "yaml"):
        for block in blocks(language):
            if named := re.match(r"# (my_methods/\S+)\n", block):
                (tmp_path / named[1]).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / named[1]).write_text(block, encoding="utf-8")
    for folder in ("my_methods", "my_methods/configs"):
        (tmp_path / folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    options = tiny(make_images(tmp_path / "images"), tmp_path / "run")
    options = [o for o in options if o != "space.n_nodes=1"]
    config = compose([*options, *shlex.split(command)])
    assert (config.nas.name, config.meta.name) == ("on_training_batch", "hard_tasks")
    assert config.space.builder == "my_methods.space.build"
    results = train.run(config)
    n_parameters = 4 * (1 + 4) * (1 + 9 + 25) + 2 * 3 * 8 + 3 * 4 + 3  # convolutions, norms, head
    assert results["test/parameters_mean"] == n_parameters
    assert results["train/outer_steps"] == 2
