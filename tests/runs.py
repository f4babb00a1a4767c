"""Tiny runs of the command lines: a folder of images, short options, subprocesses."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from omegaconf import DictConfig

import metanas_pl
from metanas_pl.cli import app

HANGS_S = 1500
"""Seconds after which a process is given up: it hangs. A busy machine may take long for anything."""
CHECKOUT = Path(metanas_pl.__file__).resolve().parent.parent
SMALL_CELLS = (
    "space.n_cells=2",
    "space.reductions=[0]",
    "space.n_nodes=1",
    "space.primitives=[max_pool_3x3,skip_connect,conv_3x3]",
)
"""Overrides of a space of cells; another space has no such keys."""
TIMES = {
    "seconds",
    "train/seconds",
    "train/cpu_seconds",
    "train/episodes_per_second",
    "test/seconds",
    "test/seconds_per_episode",
    "speed/episodes_per_second",
    "speed/data_seconds",
    "speed/communication_seconds",
}
"""Figures that differ from run to run."""


def make_images(root: Path, n_images: int = 6) -> Path:
    """Split folders of four classes, each a noisy pattern of 12x12 pixels."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        for k in range(4):
            folder = root / split / f"{split}{k}"
            folder.mkdir(parents=True)
            pattern = rng.uniform(0, 200, (12, 12))
            for i in range(n_images):
                pixels = (pattern + rng.uniform(0, 55, (12, 12))).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
    return root


def tiny(images: Path, run_dir: Path | None = None, *, draws: bool = False) -> list[str]:
    """Overrides of a run that takes about a second: 3-way 1-shot, 2 outer steps of 2 tasks.

    Half of that second goes into the drawings, ``genotype.json`` and the arm of frozen alphas, which are
    there only if it ``draws``.
    """
    options = [
        "data=folder",
        f"data.root={images}",
        f"data.cache_dir={images.parent / 'cache'}",
        "data.image_size=12",
        "data.channels=1",
        "data.n_ways=3",
        "data.n_shots=1",
        "data.n_queries=2",
        "data.n_train_shots=null",
        "data.n_train_queries=null",
        "data.meta_batch_size=2",
        "data.n_train_episodes=4",
        "data.n_val_episodes=2",
        "data.n_test_episodes=5",
        "data.eval_batch_size=2",
        "space.channels=4",
        *SMALL_CELLS,
        "nas.meta_prune_interval=0",
        "meta.inner.steps=2",
        "meta.inner.test_steps=3",
        "meta.inner.test_arch_steps=2",
        "meta.inner.test_anneal_steps=2",
        "meta.outer.warm_up_steps=1",
        "trainer.max_steps=2",
        "trainer.devices=1",
        "trainer.enable_progress_bar=false",
        "callbacks.progress=null",
    ]
    options += [] if draws else ["callbacks.architecture=null", "evaluation.arms=[]"]
    return options + ([f"run_dir={run_dir}"] if run_dir else [])


def compose(overrides: Sequence[str]) -> DictConfig:
    """The configuration that a command line with these overrides gets."""
    from hydra import compose, initialize_config_dir

    app.register_schemas()
    with initialize_config_dir(app.CONFIG_DIR, version_base="1.3"):
        return compose("config", overrides=list(overrides))


def environment(**more: str) -> dict[str, str]:
    """Environment of a subprocess that imports this checkout, from any folder."""
    path = os.pathsep.join(filter(None, (str(CHECKOUT), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "COLUMNS": "120", **more}


def start(program: str, arguments: Sequence[str], folder: Path, **env: str) -> Any:
    """Start ``python -m metanas_pl.cli.<program>`` in ``folder``."""
    return spawn([sys.executable, "-m", f"metanas_pl.cli.{program}", *arguments], folder, **env)


def spawn(command: Sequence[str], folder: Path, **env: str) -> Any:
    """Start a command that imports this checkout."""
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment(**env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_heed_ctrl_c,
    )


def _heed_ctrl_c() -> None:
    """A child of a job in the background would pass over it, as that job does."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def execute(program: str, arguments: Sequence[str], folder: Path, **env: str) -> Any:
    """Run ``python -m metanas_pl.cli.<program>`` to its end."""
    return finish(start(program, arguments, folder, **env))


def finish(process: Any) -> Any:
    """Wait for what :func:`spawn` started."""
    try:
        out, err = process.communicate(timeout=HANGS_S)
    finally:
        process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def load(path: Path) -> dict[str, Any]:
    """A checkpoint, read as a stranger's: plain values and tensors only."""
    checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return checkpoint


def read_rows(path: Path, ignore: Collection[str] = ("seconds",)) -> list[dict[str, str]]:
    """Rows of a CSV file without these columns."""
    with path.open(encoding="utf-8", newline="") as file:
        return [{k: v for k, v in row.items() if k not in ignore} for row in csv.DictReader(file)]


def assert_equal(left: Any, right: Any, path: str = "", tolerance: float = 0.0) -> None:
    """Nested containers are equal; tensors bit for bit, or to an absolute tolerance. NaN equals NaN."""
    if isinstance(left, torch.Tensor):
        same = left.dtype == right.dtype and left.shape == right.shape
        same = same and torch.allclose(left, right, rtol=0, atol=tolerance, equal_nan=True)
        difference = (left - right).abs().max() if left.is_floating_point() else "in kind"
        assert same, f"{path} differs: {difference}"
    elif isinstance(left, dict):
        assert left.keys() == right.keys(), path
        for key in left:
            assert_equal(left[key], right[key], f"{path}.{key}", tolerance)
    elif isinstance(left, list | tuple):
        assert len(left) == len(right), path
        for i, pair in enumerate(zip(left, right, strict=True)):
            assert_equal(*pair, f"{path}[{i}]", tolerance)
    else:
        assert left == right, f"{path}: {left} != {right}"


def assert_same_training(
    left: Path, right: Path, tolerance: float = 0.0, ignore: str | None = None
) -> None:
    """Two checkpoints hold the same parameters, alphas, optimizer, scheduler and step.

    ``ignore`` is the beginning of the names in the state of the module that may differ.
    """
    a, b = load(left), load(right)
    for part in (a, b) if ignore else ():
        kept = {k: v for k, v in part["state_dict"].items() if not k.startswith(ignore)}
        part["state_dict"] = kept
    keys = ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "epoch")
    for key in keys:
        assert_equal(a[key], b[key], key, tolerance)
    assert_equal(a.get("carried_states"), b.get("carried_states"), "carried_states", tolerance)


class Send(pl.Callback):
    """Send ``rank`` a signal in the middle of outer step ``step`` (counted from 1)."""

    def __init__(self, step: int, name: str = "SIGINT", rank: int = 0) -> None:
        self.step, self.signal, self.rank = step, signal.Signals[name], rank

    def on_before_optimizer_step(self, trainer: pl.Trainer, *args: Any) -> None:
        """The step at hand is still to be finished."""
        if (trainer.global_step, trainer.global_rank) == (self.step - 1, self.rank):
            os.kill(os.getpid(), self.signal)


class SendIn(pl.Callback):
    """Send this process a signal at the beginning of batch ``batch`` of the training or of the test."""

    def __init__(self, stage: str, batch: int, name: str = "SIGTERM") -> None:
        self.stage, self.batch, self.signal = stage, batch, signal.Signals[name]

    def _send(self, stage: str, batch: int) -> None:
        if (stage, batch) == (self.stage, self.batch):
            os.kill(os.getpid(), self.signal)

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        """In training."""
        self._send("train", batch_idx)

    def on_test_batch_start(
        self, trainer: Any, module: Any, batch: Any, batch_idx: int, *args: Any
    ) -> None:
        """In the test."""
        self._send("test", batch_idx)


class SaveAt(pl.Callback):
    """Save a checkpoint after an outer step."""

    def __init__(self, step: int, file: str) -> None:
        self.step, self.file = step, file

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        """From all ranks."""
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.file)


class Dawdle(pl.Callback):
    """Make each step of a rank so many seconds longer."""

    def __init__(self, rank: int, seconds: float) -> None:
        self.rank, self.seconds = rank, seconds

    def on_before_backward(self, trainer: pl.Trainer, *args: Any) -> None:
        """After its computation, before it meets the others."""
        if trainer.global_rank == self.rank:
            time.sleep(self.seconds)


class Plant(pl.Callback):
    """Make the support images of these training episodes NaN."""

    def __init__(self, episodes: Sequence[int]) -> None:
        self.episodes = torch.tensor(episodes)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: Any, batch: Any, *args: Any
    ) -> None:
        """Before the module sees the batch."""
        batch.support_x[torch.isin(batch.index, self.episodes)] = torch.nan


class WriteGradients(pl.Callback):
    """A line for every outer step in ``<folder>/rank<r>.jsonl``: a digest of each group's gradients.

    The gradients are those that the optimizer is about to get; DDP must have looked at all of them.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Add a line."""
        assert not trainer.model.find_unused_parameters
        digests = {
            group["name"]: sha256(b"".join(bytes_of(p.grad) for p in group["params"]))
            for group in optimizer.param_groups
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"rank{trainer.global_rank}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({name: d.hexdigest() for name, d in digests.items()}) + "\n")


def bytes_of(gradient: torch.Tensor | None) -> bytes:
    """Nothing for what rests in this step."""
    return b"" if gradient is None else gradient.numpy().tobytes()


TELL_SLOWLY = [
    "+callbacks.tell={_target_: tests.runs.Tell}",
    "+callbacks.slow={_target_: tests.runs.Dawdle, rank: 0, seconds: 0.2}",
]
"""Overrides of a run that tells its steps, and is not over before somebody who listens has answered."""


class Tell(pl.Callback):
    """Print every outer step, for a test that waits for it."""

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        """One line a step."""
        print(f"step {trainer.global_step}", flush=True)
