"""A user's mistake ends in seconds, in one or two lines, with a non-zero exit code."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import yaml
from omegaconf import DictConfig, OmegaConf

import metanas_pl
from metanas_pl.cli import app, evaluate, replay, train
from metanas_pl.cli.data import main as data_command
from metanas_pl.config import CellSpaceConfig, Config, Conv4Config
from metanas_pl.errors import UserError
from tests.runs import compose, execute

MISTAKES = [
    ("data.n_wayz=5", ["data.n_wayz", "did you mean data.n_ways", "n_shots"]),
    ("meta.inner.stepz=5", ["meta.inner.stepz", "did you mean meta.inner.steps"]),
    ("experiment=nothing", ["experiment/nothing", "glyphs_5way_1shot"]),
    ("space=resnet", ["space/resnet", "metanas_compact"]),
    ("data=cifar1000", ["data/cifar1000", "omniglot"]),
    ("data.n_ways=five", ["data.n_ways=five", "a whole number, or a range"]),
    ("data.n_ways=0", ["data.n_ways=0", "at least 2"]),
    ("data.n_ways=500", ["data.n_ways=500", "classes"]),
    ("data.meta_batch_size=-1", ["data.meta_batch_size=-1", "at least 1"]),
    ("data.n_shots=30", ["data.n_shots=30", "20"]),
    ("trainer.devices=4", ["trainer.devices=4", "data.meta_batch_size=6"]),
    ("ckpt_path=nowhere.ckpt", ["ckpt_path=nowhere.ckpt", "no such file"]),
    ("ckpt_path=/", ["ckpt_path=/", "there is no"]),
    ("data.source=nothing", ["data.source='nothing'", "glyphs"]),
    ("data=folder", ["data.root"]),
    ("trainer.accelerator=tpux", ["tpux"]),
    ("trainer.devices=0", ["devices", "0"]),
    ("seed=-1", ["seed=-1", "from 0 to 4294967295"]),
    ("seed=4294967296", ["seed=4294967296", "from 0 to 4294967295"]),
    ("nas.threshold=2", ["nas.threshold=2", "at most 1"]),
    ("trainer.precision=16", ["trainer.precision=16", "take 32"]),
    ("trainer.precision=16-true", ["trainer.precision=16-true", "overflow", "take 32"]),
    ("meta.head=none", ["meta.head=none", "learned, zero"]),
    ("nas=fixed space.genotype=nobody", ["space.genotype=nobody", "metanas_in_v2"]),
    ("nas=fixed", ["nas=fixed needs space.genotype"]),
    ("trainer.max_stepz=5", ["trainer.max_stepz"]),
    ("space.channels=-3", ["space.channels=-3", "at least 1"]),
    (
        "space=conv4 space.chanels=3",
        ["did you mean space.channels?", "name, builder, channels, strided)"],
    ),
    ("space=conv4 nas.cost.kind=flops", ["nas.cost.kind=flops", "nothing to choose"]),
    ("hydra.searchpath=[pkg://nowhere.configs]", ["hydra.searchpath", "nowhere.configs"]),
    ("trainer.strategy=fsdp", ["trainer.strategy=fsdp", "all parameters", "trainer.strategy=ddp"]),
    ("trainer.strategy=deepspeed_stage_2", ["deepspeed_stage_2", "trainer.strategy=ddp"]),
    ("trainer.accumulate_grad_batches=7", ["data.n_train_episodes=600", "grad_batches=42"]),
    ("trainer.max_steps=ten", ["trainer.max_steps=ten", "a whole number from 0 on"]),
    ("trainer.accelerator=gpu", ["trainer", "gpu"]),
    ("trainer.precision=bf16-mixed", ["trainer.precision=bf16-mixed", "take 32"]),
    ("logger.level=3", ["logger.level"]),
    ("logger=nothing", ["logger/nothing", "tensorboard"]),
    ("callbacks.best.mode=foo", ["callbacks.best=", "mode"]),
    ("callbacks.best._target_=no.such.thing", ["callbacks.best=no.such.thing"]),
    ("seed", ["seed cannot be read", "KEY=VALUE"]),
    ("run_dir=/proc/x", ["run_dir=/proc/x", "cannot be written"]),
    ("data=null", ["data=null", "omniglot"]),
    ("data.root=/a=b", ["data.root=/a=b", """'data.root="/a=b"'"""]),
    ("-m seed=0,ten", ["seed=ten", "Integer"]),
    ("-m data.n_wayz=1,2", ["data.n_wayz", "did you mean data.n_ways"]),
    ("--cfg job data.n_wayz=1", ["data.n_wayz", "did you mean data.n_ways"]),
    ("trainer.profiler=fast", ["trainer.profiler=fast", "simple, advanced, pytorch"]),
    ("hydra/launcher=submitit", ["hydra/launcher/submitit", "metanas_pl[cluster]"]),
    ("nas.alpha_gradient=os.nothing", ["nas.alpha_gradient=os.nothing", "cannot be imported"]),
]


def main(monkeypatch: Any, tmp_path: Path, *arguments: str) -> int:
    place = f"hydra.run.dir={tmp_path}"
    monkeypatch.setattr("sys.argv", ["metanas-train", *arguments, place])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    with pytest.raises(SystemExit) as stopped:
        train.main()
    code = stopped.value.code
    return code if isinstance(code, int) else 1


# Each composes the configuration twice: by default one in three is tried, and some of their own kind.
OFTEN = (
    "hydra.searchpath=[pkg://nowhere.configs]",
    "hydra/launcher=submitit",
    "trainer.profiler=fast",
    "trainer.accelerator=gpu",
    "experiment=nothing",
)
TRIED = [
    pytest.param(*mistake, marks=pytest.mark.slow if i % 3 and mistake[0] not in OFTEN else ())
    for i, mistake in enumerate(MISTAKES)
]


@pytest.mark.parametrize(("override", "told"), TRIED, ids=[m[0] for m in MISTAKES])
def test_mistake(
    override: str, told: list[str], monkeypatch: Any, tmp_path: Path, capsys: Any
) -> None:
    assert main(monkeypatch, tmp_path, *override.split()) != 0
    error = capsys.readouterr().err
    for text in told:
        assert text in error
    assert "Traceback" not in error
    assert len(error.strip().splitlines()) <= 2, error


def test_wrong_keys_in_a_file_of_the_user(monkeypatch: Any, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "experiment").mkdir()
    file = tmp_path / "experiment" / "mine.yaml"
    file.write_text("# @package _global_\ndata: {n_wayz: 3}\n")
    path = f"hydra.searchpath=[file://{tmp_path}]"
    assert main(monkeypatch, tmp_path, path, "experiment=mine") != 0
    error = capsys.readouterr().err
    assert "n_wayz" in error and "n_ways" in error
    assert "Traceback" not in error and len(error.strip().splitlines()) <= 2, error


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("seed=0", ["ckpt_path"]),
        ("ckpt_path=nowhere.ckpt", ["ckpt_path=nowhere.ckpt", "no such file"]),
        ("ckpt_path=any evaluation.adapt=all", ["evaluation.adapt=all", "nothing"]),
    ],
)
def test_mistake_in_an_evaluation(
    override: str, told: list[str], monkeypatch: Any, tmp_path: Path, capsys: Any
) -> None:
    monkeypatch.setattr(train, "main", evaluate.main)
    test_mistake(override, told, monkeypatch, tmp_path, capsys)


def test_processes_of_a_cluster_need_a_common_run_folder(monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setattr("sys.argv", ["metanas-train", "trainer=ddp"])
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SystemExit) as stopped:
        train.main()
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert "2 processes" in error and "hydra.run.dir=" in error


def test_full_error_shows_the_trace(tmp_path: Path) -> None:
    done = execute("train", ["data.n_wayz=5"], tmp_path, HYDRA_FULL_ERROR="1")
    assert done.returncode != 0
    assert "Traceback" in done.stderr


def fields(schema: type[Any]) -> dict[str, Any]:
    """Names of the fields of a schema, below each those of its own schema."""
    hints = get_type_hints(schema)
    return {name: fields(hint) if is_dataclass(hint) else {} for name, hint in hints.items()}


def paths(tree: Any) -> set[str]:
    """Dotted names of all nodes of nested mappings."""
    below = {key: paths(value) for key, value in tree.items()} if isinstance(tree, dict) else {}
    return set(below) | {f"{key}.{path}" for key, found in below.items() for path in found}


@pytest.mark.parametrize(
    ("choice", "space"),
    [
        pytest.param("space=metanas", CellSpaceConfig, marks=pytest.mark.slow),
        ("space=conv4", Conv4Config),
    ],
)
def test_help_lists_every_group_and_key(choice: str, space: type[Any], tmp_path: Path) -> None:
    done = execute("train", ["--help", choice], tmp_path)
    assert done.returncode == 0, done.stderr
    groups, _, config = done.stdout.partition("== Config ==")
    names = {path.parent.name for path in Path(app.CONFIG_DIR).glob("*/*.yaml")}
    assert [name for name in names if f"\n{name}: " not in groups] == []
    _, values, *_ = config.split("\n\n")
    expected = paths({**fields(Config), "space": fields(space)})
    assert expected - paths(yaml.safe_load(values)) == set()
    assert {"seed", "meta.inner.head_lr", "space.channels"} <= expected


def test_the_configuration_folder_is_found() -> None:
    assert (Path(app.CONFIG_DIR) / "config.yaml").is_file()


def test_a_fault_is_told_from_a_mistake(monkeypatch: Any, tmp_path: Path, capsys: Any) -> None:
    """A ValueError that nobody foresaw is no line without a trace."""

    def run(cfg: Any) -> Any:
        raise ValueError("a bug")

    monkeypatch.setattr(train, "main", lambda: app.main(run))
    assert main(monkeypatch, tmp_path) == 1
    error = capsys.readouterr().err
    (file,) = tmp_path.glob("fault-*.txt")
    assert "fault of metanas_pl" in error and str(file) in error and len(error.splitlines()) == 2
    assert "in run" in file.read_text()


def test_a_wrong_root_ends_before_anything_is_described_or_built(
    monkeypatch: Any, tmp_path: Path, capsys: Any
) -> None:
    def build(*_: Any, **__: Any) -> Any:
        raise AssertionError("the network is built before the data are there")

    monkeypatch.setattr("metanas_pl.cli.factories.make_module", build)
    assert main(monkeypatch, tmp_path, "data=folder", f"data.root={tmp_path}/none") == 2
    printed = capsys.readouterr()
    assert printed.out == "" and f"{tmp_path}/none" in printed.err


@pytest.mark.parametrize("below", ["file", "file/cache"])
def test_a_data_folder_that_cannot_be_made(
    below: str, monkeypatch: Any, tmp_path: Path, capsys: Any
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("METANAS_DATA", str(tmp_path / below))
    assert main(monkeypatch, tmp_path / "run") == 2
    error = capsys.readouterr().err
    assert str(tmp_path / "file") in error and len(error.splitlines()) == 1


@pytest.mark.parametrize("folder", ["file", "file/run", "x" * 300])
def test_a_run_folder_that_cannot_be_made(
    folder: str, monkeypatch: Any, tmp_path: Path, capsys: Any
) -> None:
    (tmp_path / "file").touch()
    assert main(monkeypatch, tmp_path / folder) == 2
    error = capsys.readouterr().err
    assert "hydra.run.dir" in error and len(error.splitlines()) == 1


def test_a_run_folder_on_a_full_disk(monkeypatch: Any, tmp_path: Path) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(app, "write_whole", full)
    with pytest.raises(UserError, match="nothing can be written to the run folder: .*No space"):
        app.make_run_dir(app.to_config(compose([f"run_dir={tmp_path}"])))


def test_a_value_that_refers_to_nothing(tmp_path: Path) -> None:
    cfg = OmegaConf.merge(compose([f"run_dir={tmp_path}"]), {"data": {"root": "${nowhere}"}})
    assert isinstance(cfg, DictConfig)
    with pytest.raises(UserError, match="'nowhere' not found"):
        app.to_config(cfg)


def test_on_demand_hydra_shows_its_own_errors(monkeypatch: Any, tmp_path: Path) -> None:
    def run(cfg: Any) -> Any:
        raise ValueError("a bug")

    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setattr("sys.argv", ["metanas-train", f"hydra.run.dir={tmp_path}"])
    with pytest.raises(ValueError, match="a bug"):
        app.main(run)


@pytest.mark.parametrize("command", [train.main, evaluate.main, replay.main, data_command.main])
def test_the_version_is_ours(command: Any, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setattr("sys.argv", ["metanas-…", "--version"])
    with suppress(SystemExit):
        command()
    assert capsys.readouterr().out.startswith(f"metanas_pl {metanas_pl.__version__}, torch ")


def test_the_resolved_configuration_is_shown(monkeypatch: Any, tmp_path: Path, capsys: Any) -> None:
    folder = f"hydra.run.dir={tmp_path}"
    words = ["--cfg", "job", "--resolve", "data.n_ways=7", folder]
    monkeypatch.setattr("sys.argv", ["metanas-train", *words])
    train.main()
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown["data"]["n_ways"] == 7 and shown["run_dir"] == str(tmp_path)
    assert shown["callbacks"]["best"]["dirpath"] == f"{tmp_path}/checkpoints"


@pytest.mark.parametrize("group", ["logger", "callbacks", "experiment"])
def test_a_group_that_can_be_left_out(group: str, monkeypatch: Any, tmp_path: Path) -> None:
    seen: list[Any] = []

    def run(cfg: Any) -> dict[str, float]:
        seen.append(cfg[group])
        return {}

    words = [f"{group}=null", f"hydra.run.dir={tmp_path}"]
    monkeypatch.setattr("sys.argv", ["metanas-train", *words])
    app.main(run)
    assert seen == [None]
