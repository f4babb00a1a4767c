"""Undocumented parts of Lightning are used in one file, and do in this release what it says."""

from __future__ import annotations

import ast
import csv
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EMAWeightAveraging, ModelCheckpoint, RichProgressBar
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader

from metanas_pl.utils import lightning_private as private

PACKAGE = Path(private.__file__).resolve().parent.parent
LOOPS = {"fit_loop", "epoch_loop", "batch_progress", "launcher"}
"""Attributes without an underscore that no release promises either."""
LOOP_KEYS = ("fit_loop", "epoch_loop", "batch_progress")


class Line(pl.LightningModule):
    """One parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(1))

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        loss = (self.w * batch).sum()
        self.log("loss", loss)
        return loss

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        pass

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def data(n: int = 3) -> DataLoader[Any]:
    return DataLoader(torch.ones(n, 1), batch_size=1)  # type: ignore[arg-type]


def trainer(**options: Any) -> pl.Trainer:
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    quiet |= {"accelerator": "cpu", "devices": 1, "num_sanity_val_steps": 0}
    return pl.Trainer(**{**quiet, "enable_checkpointing": False, **options})


@pytest.fixture(autouse=True)
def _no_worker_advice(recwarn: Any) -> None:
    import warnings

    for message in (".*does not have many workers.*", ".*is smaller than the logging.*"):
        warnings.filterwarnings("ignore", message=message)


def test_this_release_is_one_of_those_it_works_with() -> None:
    """After an update: when the other tests of this file pass, add the release to ``WORKS_WITH``."""
    assert version("pytorch-lightning") in private.WORKS_WITH


def private_names() -> set[str]:
    """Private attributes of the parts of Lightning, but for those that torch gave them."""
    run = trainer()
    objects: list[Any] = [run, run.fit_loop, run.fit_loop.epoch_loop, run.strategy, Line()]
    objects += [CSVLogger("."), RichProgressBar(), ModelCheckpoint(), EMAWeightAveraging()]
    names = {name for thing in objects for name in dir(thing) if name.startswith("_")}
    of_torch = {name for name in dir(nn.Module()) if name not in vars(pl.LightningModule)}
    return {name for name in names - of_torch if not name.startswith("__")}


def test_no_other_file_uses_what_is_private() -> None:
    found, known = [], private_names() | LOOPS
    assert {"_trainer", "_logger_connector", "_console", "_experiment"} <= known
    for path in PACKAGE.rglob("*.py"):
        if path.name == Path(private.__file__).name:
            continue
        tree, file = ast.parse(path.read_text(encoding="utf-8")), path.relative_to(PACKAGE)
        for node in ast.walk(tree):
            names = [node.attr] if isinstance(node, ast.Attribute) else []
            if isinstance(node, ast.ClassDef):  # an override
                names = [part.name for part in node.body if isinstance(part, ast.FunctionDef)]
            if isinstance(node, ast.Constant):  # keys of a checkpoint
                names = [part for part in str(node.value).split(".") if part.endswith(LOOP_KEYS)]
            found += [f"{file} {name}" for name in names if name in known]
            if isinstance(node, ast.ImportFrom) and "lightning" in (node.module or ""):
                found += [f"{file} {node.module}"] if "._" in str(node.module) else []
    assert found == []


def test_the_trainer_of_a_module() -> None:
    module = Line()
    assert private.trainer_of(module) is None
    run = trainer(max_steps=1)
    run.fit(module, data())
    assert private.trainer_of(module) is run


def test_whether_a_module_is_compiled() -> None:
    module: Any = Line()
    assert not private.is_compiled(module)
    module._compiler_ctx = {}
    assert private.is_compiled(module)


@pytest.mark.parametrize("buffers", [True, False])
def test_whether_buffers_are_averaged(buffers: bool) -> None:
    averaging = EMAWeightAveraging(use_buffers=buffers)
    assert private.averages_buffers(trainer(callbacks=[averaging])) == buffers
    assert not private.averages_buffers(trainer())


class Look(pl.Callback):
    """Notes after each batch whether a validation follows, and what was logged before and after asking."""

    def __init__(self) -> None:
        self.follows: list[bool] = []
        self.rows: list[tuple[int, int]] = []

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        self.follows.append(private.validates_next(trainer))
        writer = trainer.loggers[0].experiment  # type: ignore[attr-defined]
        before = writer.n_rows
        private.log_step_at_hand(trainer)
        self.rows.append((before, writer.n_rows))


class Writer(private.PlainWriter):
    """Counts rows."""

    n_rows = 0

    def log_metrics(self, *args: Any) -> None:
        self.n_rows += 1
        super().log_metrics(*args)


class Log(private.PlainLogger):
    """Lightning's log with a writer of our own."""

    def make_writer(self) -> private.PlainWriter:
        return Writer(self.log_dir)


def test_what_follows_a_batch_and_the_log_of_a_step(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "kept.txt").write_text("of before")
    log, look = Log(str(tmp_path), name="run", version=""), Look()
    run = trainer(max_epochs=1, logger=log, callbacks=[look], log_every_n_steps=1)
    run.fit(Line(), data(4), data(1))
    assert look.follows == [False, False, False, True]
    assert all(after == before + 1 for before, after in look.rows)
    with (tmp_path / "run" / "metrics.csv").open(encoding="utf-8", newline="") as file:
        assert {"0", "1", "2", "3"} <= {row["step"] for row in csv.DictReader(file)}
    assert (tmp_path / "run" / "kept.txt").exists()


def test_a_stop_counts_before_the_minimum() -> None:
    class Stop(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
            private.stop_before_minimum(trainer)

    run = trainer(max_epochs=5, min_epochs=3, min_steps=9, callbacks=[Stop()])
    run.fit(Line(), data())
    assert run.global_step == 1


def test_counts_of_a_checkpoint_and_an_error_in_restoring_it(tmp_path: Path) -> None:
    run, path = trainer(max_steps=2), tmp_path / "x.ckpt"
    run.fit(Line(), data())
    run.save_checkpoint(path)
    checkpoint = torch.load(path, weights_only=True)
    assert private.batch_counts(checkpoint)["completed"] == 2
    checkpoint["optimizer_states"] = [{"state": {}, "param_groups": []}]
    torch.save(checkpoint, path)
    with pytest.raises(ValueError) as restoring:
        trainer(max_steps=3).fit(Line(), data(), ckpt_path=path, weights_only=True)
    assert private.arose_in_restoring(restoring.value)
    with pytest.raises(ZeroDivisionError) as other:
        print(1 / 0)
    assert not private.arose_in_restoring(other.value)


def test_processes_that_lightning_started() -> None:
    assert list(private.launched_processes(trainer())) == []
    run = trainer(strategy="ddp", devices=2)
    launcher: Any = run.strategy.launcher or run.strategy
    run.strategy._configure_launcher()
    launcher = run.strategy.launcher
    assert list(private.launched_processes(run)) == []
    launcher.procs.append("a process")
    assert list(private.launched_processes(run)) == ["a process"]


def test_the_text_of_the_progress_bar_is_ours() -> None:
    texts: list[str] = []

    class Bar(private.StepProgressBar):
        def training_text(self, epoch: int) -> str:
            texts.append(f"round {epoch}")
            return texts[-1]

    bar = Bar()
    assert not bar.is_seen
    run = trainer(max_epochs=1, enable_progress_bar=True, callbacks=[bar])
    run.fit(Line(), data())
    assert texts and set(texts) == {"round 0"}


def test_lightning_stops_the_workers_of_a_loader_around_torchs() -> None:
    class Loader(private.WithWorkers):
        def __init__(self) -> None:
            self.torch_loader = DataLoader(
                torch.ones(3, 1),  # type: ignore[arg-type]
                num_workers=1,
                persistent_workers=True,
            )

        def __iter__(self) -> Any:
            return iter(self.torch_loader)

        def __len__(self) -> int:
            return len(self.torch_loader)

    loader = Loader()
    trainer(max_epochs=1).fit(Line(), loader)
    assert loader.torch_loader._iterator is None
