"""Loaders of checkpoints, of this project and of the official implementation."""

from __future__ import annotations

import io
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random

import torch

from benchmarks.endurance._mutations import altered, damaged, odd_value
from metanas_pl.cli import app
from metanas_pl.config import Config
from metanas_pl.search_spaces.official_checkpoints import load_official
from tests import runs

Attempt = Callable[[Random], None]


def finished_run(folder: Path) -> Path:
    """The folder of a tiny finished run; made once for all loaders that share the parent folder."""
    from metanas_pl.cli import train

    run_dir = folder.parent / "finished"
    if not (run_dir / "results.json").exists():
        images = runs.make_images(folder.parent / "images")
        train.run(runs.compose(runs.tiny(images, run_dir)))
    return run_dir


def read_as_evaluation(path: Path) -> None:
    """What ``metanas-evaluate`` does with a checkpoint before it looks for data."""
    from metanas_pl.cli.evaluate import as_trained
    from metanas_pl.cli.factories import trained_module
    from metanas_pl.data.store.identity import checked

    config = as_trained(Config(ckpt_path=str(path)), [])
    checkpoint = app.read_checkpoint(str(path))
    trained_module(checkpoint, config)
    checked(checkpoint.get("EpisodeDataModule", {}))


def checkpoint_bytes(folder: Path) -> Attempt:
    """Damaged bytes of a checkpoint; one that is taken all the same holds what it held."""
    original = finished_run(folder) / "checkpoints" / "last.ckpt"
    data, path = original.read_bytes(), folder / "x.ckpt"
    content = app.read_checkpoint(str(original))

    def attempt(rng: Random) -> None:
        path.write_bytes(damaged(rng, data))
        runs.assert_equal(app.read_checkpoint(str(path)), content)

    return attempt


def repacked(data: bytes, change: Callable[[str, bytes], bytes]) -> bytes:
    """A zip with changed members and right checksums."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return out.getvalue()


def checkpoint_pickle(folder: Path) -> Attempt:
    """Damaged instructions of the pickle in a checkpoint, under right checksums."""
    data, path = (
        (finished_run(folder) / "checkpoints" / "last.ckpt").read_bytes(),
        folder / "x.ckpt",
    )

    def attempt(rng: Random) -> None:
        def change(name: str, content: bytes) -> bytes:
            return damaged(rng, content) if name.endswith(".pkl") else content

        path.write_bytes(repacked(data, change))
        app.read_checkpoint(str(path))

    return attempt


def checkpoint_values(folder: Path) -> Attempt:
    """A checkpoint with other values than a training writes, evaluated."""
    path = folder / "x.ckpt"
    checkpoint = runs.load(finished_run(folder) / "checkpoints" / "last.ckpt")
    parts = ("hyper_parameters", "datamodule_hyper_parameters", "state_dict", "EpisodeDataModule")

    def attempt(rng: Random) -> None:
        part = rng.choice((*parts, None))
        if part is None:
            changed = altered(rng, checkpoint)
        else:
            changed = {**checkpoint, part: altered(rng, checkpoint[part])}
        torch.save(changed, path)
        read_as_evaluation(path)

    return attempt


def resumption(folder: Path) -> Attempt:
    """A checkpoint that lacks a part, or with other values than a training writes, gone on from."""
    from metanas_pl.cli import train

    checkpoint = runs.load(finished_run(folder) / "checkpoints" / "last.ckpt")
    options = [*runs.tiny(folder.parent / "images", folder / "run"), "data.n_test_episodes=1"]
    path = folder / "x.ckpt"
    restored = ("loops", "optimizer_states", "lr_schedulers", "callbacks", "state_dict")

    def attempt(rng: Random) -> None:
        part = rng.choice((*restored, "global_step", "epoch", "pytorch-lightning_version"))
        changed = {**checkpoint}
        if rng.random() < 0.1:
            del changed[part]
        else:
            changed[part] = altered(rng, checkpoint[part]) if part in restored else odd_value(rng)
        torch.save(changed, path)
        shutil.rmtree(folder / "run", ignore_errors=True)  # a folder with a run in it is refused
        train.run(runs.compose([*options, f"ckpt_path={path}"]))

    return attempt


def official_checkpoints(folder: Path) -> Attempt:
    """State dicts of the official implementation: bytes (of both formats) and names."""
    state = {
        "net.stem.0.weight": torch.zeros(3, 1, 3, 3),
        "net.cells.0.preproc0.net.1.weight": torch.zeros(2, 3, 1, 1),
        "net.cells.0.dag.0.0._ops.3.net.0.net.1.weight": torch.zeros(2, 1, 3, 3),
        "alpha_pw_normal.0": torch.zeros(1),
        "net.linear.bias": torch.zeros(5),
    }
    path = folder / "x.pt"
    files = []
    for new in (True, False):
        torch.save(state, path, _use_new_zipfile_serialization=new)
        files.append(path.read_bytes())

    def attempt(rng: Random) -> None:
        if rng.random() < 0.3:
            torch.save(altered(rng, state), path)
        else:
            path.write_bytes(damaged(rng, rng.choice(files)))
        load_official(path)

    return attempt
