"""Every loader of the project, each with files that it reads and a way to damage them.

A loader is ``prepare(folder) -> attempt``: files are made in ``folder`` once, and each
``attempt(rng)`` damages one of them and reads it as the project does.
"""

from __future__ import annotations

import io
import json
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from random import Random

import numpy as np
import torch
from PIL import Image

from benchmarks import controls, run_folder
from benchmarks.endurance._mutations import altered, damaged, odd_value
from metanas_pl import cli, conf
from metanas_pl.data.cache import stores_in
from metanas_pl.data.fetch.archives import open_files
from metanas_pl.data.fetch.pickles import load_pickle
from metanas_pl.data.sources import DataRequest, prepare_source
from metanas_pl.data.sources.images import to_pixels
from metanas_pl.data.store import ClassImages, ClassStore, StoreMeta, build_store
from metanas_pl.data.verification import is_verified, record, verify_store
from metanas_pl.spaces.genotype import Genotype
from metanas_pl.spaces.nasbench201_genotype import EXAMPLE, Nasbench201Genotype
from metanas_pl.spaces.official import load_official
from tests import runs
from tests.data import published_archives

Attempt = Callable[[Random], None]
OUTER_STEPS = 2


# -- checkpoints ------------------------------------------------------------------------------


def finished_run(folder: Path) -> Path:
    """The folder of a tiny finished run; made once for all loaders that share the parent folder."""
    from metanas_pl import train

    run_dir = folder.parent / "finished"
    if not (run_dir / "results.json").exists():
        images = runs.make_images(folder.parent / "images")
        train.run(runs.compose(runs.tiny(images, run_dir)))
    return run_dir


def read_as_evaluation(path: Path) -> None:
    """What ``metanas-evaluate`` does with a checkpoint before it looks for data."""
    from metanas_pl.assembly import trained_module
    from metanas_pl.data.identity import checked
    from metanas_pl.evaluate import as_trained

    config = as_trained(conf.Config(ckpt_path=str(path)), [])
    checkpoint = cli.read_checkpoint(str(path))
    trained_module(checkpoint, config)
    checked(checkpoint.get("EpisodeDataModule", {}))


def checkpoint_bytes(folder: Path) -> Attempt:
    """Damaged bytes of a checkpoint."""
    data, path = (
        (finished_run(folder) / "checkpoints" / "last.ckpt").read_bytes(),
        folder / "x.ckpt",
    )

    def attempt(rng: Random) -> None:
        path.write_bytes(damaged(rng, data))
        cli.read_checkpoint(str(path))

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
        cli.read_checkpoint(str(path))

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
    """A checkpoint with other values than a training writes, gone on from."""
    from metanas_pl import train

    checkpoint = runs.load(finished_run(folder) / "checkpoints" / "last.ckpt")
    options = [*runs.tiny(folder.parent / "images", folder / "run"), "data.n_test_episodes=1"]
    path = folder / "x.ckpt"
    restored = ("loops", "optimizer_states", "lr_schedulers", "callbacks", "state_dict")

    def attempt(rng: Random) -> None:
        part = rng.choice((*restored, "global_step", "epoch", "pytorch-lightning_version"))
        changed = (
            {part: altered(rng, checkpoint[part])} if part in restored else {part: odd_value(rng)}
        )
        torch.save({**checkpoint, **changed}, path)
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


# -- genotypes --------------------------------------------------------------------------------


def genotypes(folder: Path) -> Attempt:
    """Genotypes in JSON and as text, and the strings of NAS-Bench-201."""
    tree = Genotype.load("metanas_v1").to_dict()
    text, path = Genotype.load("metanas_v1").to_json(), folder / "x.json"
    other = Nasbench201Genotype.load(EXAMPLE).to_json()

    def attempt(rng: Random) -> None:
        kind = rng.randrange(5)
        if kind == 0:
            path.write_text(json.dumps(altered(rng, tree)))
        else:
            path.write_bytes(damaged(rng, (other if kind == 1 else text).encode()))
        if kind == 1:
            Nasbench201Genotype.load(path)
        elif kind == 2:
            Nasbench201Genotype.load(damaged(rng, EXAMPLE.encode()).decode("latin1"))
        elif kind == 3:
            Genotype.from_text(
                damaged(rng, str(Genotype.load("metanas_v1")).encode()).decode("latin1")
            )
        else:
            Genotype.load(path)

    return attempt


# -- stores and their sources -----------------------------------------------------------------


def stores(folder: Path) -> Attempt:
    """A store whose table or array is damaged; every image of one that opens is read."""
    rng = np.random.default_rng(0)
    classes = [
        ClassImages(f"{split}{k}", "g", split, rng.integers(0, 256, (3, 1, 4, 4), dtype=np.uint8))
        for split in ("train", "val", "test")
        for k in range(2)
    ]
    made = build_store(folder / "store", classes, StoreMeta("toy", "made up", "none"))
    record(made, True)
    table = json.loads((made.path / "store.json").read_text())
    files = {p.name: p.read_bytes() for p in made.path.iterdir()}

    def attempt(rng: Random) -> None:
        for name, data in files.items():
            (made.path / name).write_bytes(data)
        name = rng.choice(("store.json", "store.json", "images.npy", "verified.json"))
        content = damaged(rng, files[name])
        if name == "store.json" and rng.random() < 0.7:
            content = json.dumps(altered(rng, table)).encode()
        (made.path / name).write_bytes(content)
        stores_in(folder)
        store = ClassStore.open(made.path)
        verify_store(store)
        is_verified(store)

    return attempt


def sources(folder: Path) -> Attempt:
    """Published data sets, an ``.npz`` file and a folder of images, converted to stores."""
    made = {
        "miniimagenet": published_archives.miniimagenet_pickles(),
        "tieredimagenet": published_archives.tieredimagenet_pickles(),
        "cifar_fs": published_archives.cifar100_files(),
        "cub": published_archives.cub_files(),
    }
    arrays = {"images": np.zeros((6, 8, 8), np.uint8), "labels": np.arange(6) // 2}
    npz = io.BytesIO()
    np.savez_compressed(npz, **arrays)  # type: ignore[arg-type]
    made["tensors"] = {"x.npz": npz.getvalue()}

    def attempt(rng: Random) -> None:
        name = rng.choice(list(made))
        root = folder / "root"
        shutil.rmtree(root, ignore_errors=True)
        shutil.rmtree(folder / "cache", ignore_errors=True)
        (folder / "cache").mkdir()
        files = dict(made[name])
        victim = rng.choice(list(files))
        files[victim] = damaged(rng, files[victim])
        published_archives.write_folder(root, files)
        if name == "tensors":
            root = root / "x.npz"
        prepare_source(name, DataRequest(folder / "cache", root, 8, 1))

    return attempt


def archives(folder: Path) -> Attempt:
    """Zip and tar files, every member of which is read."""
    members = {f"a/{k}.txt": bytes([k]) * 3000 for k in range(4)}
    files = []
    for write in (published_archives.write_zip, published_archives.write_tar):
        files.append(write(folder / "x", members).read_bytes())
    path = folder / "x"

    def attempt(rng: Random) -> None:
        path.write_bytes(damaged(rng, rng.choice(files)))
        with open_files(path, lambda name: name.suffix == ".txt", folder) as found:
            for name in found.names:
                assert isinstance(name, PurePosixPath) and len(found.read(name)) < 1 << 20

    return attempt


def image_files(folder: Path) -> Attempt:
    """Image files of all formats."""
    pixels = np.random.default_rng(0).integers(0, 256, (12, 14, 3), dtype=np.uint8)
    files = []
    for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, kind)
        files.append(file.getvalue())

    def attempt(rng: Random) -> None:
        assert to_pixels(damaged(rng, rng.choice(files)), 8, rng.choice((1, 3))).shape[1:] == (8, 8)

    return attempt


def pickles(folder: Path) -> Attempt:
    """Pickles of all protocols, as data sets come in."""
    table = {"data": np.arange(12, dtype=np.uint8).reshape(3, 4), b"labels": [1, 2, 3], "x": "text"}
    files = [pickle.dumps(table, protocol) for protocol in range(6)]

    def attempt(rng: Random) -> None:
        load_pickle(damaged(rng, rng.choice(files)), "x.pkl")

    return attempt


# -- runs and configurations ------------------------------------------------------------------


def run_folders(folder: Path) -> Attempt:
    """Results, test rows and configuration of a finished run, as the benchmarks read them."""
    finished = finished_run(folder)
    names = ("results.json", "episodes_test.csv", "config.yaml")
    files = {name: (finished / name).read_bytes() for name in names}
    results = json.loads(files["results.json"])

    def attempt(rng: Random) -> None:
        name = rng.choice(names)
        content = damaged(rng, files[name])
        if name == "results.json" and rng.random() < 0.5:
            content = json.dumps(altered(rng, results)).encode()
        (folder / name).write_bytes(content)
        if name == "results.json":
            run_folder.figure(folder, rng.choice(list(results)))
        elif name == "config.yaml":
            controls.typed(folder)
        else:
            run_folder.accuracies(folder)

    return attempt


def overrides(folder: Path) -> Attempt:
    """Command lines and a YAML file of the user, composed and checked."""
    cli.register_schemas()
    (folder / "experiment").mkdir(exist_ok=True)
    file = folder / "experiment" / "mine.yaml"

    def attempt(rng: Random) -> None:
        chosen = rng.choice(OVERRIDES)
        if rng.random() < 0.5:
            file.write_bytes(damaged(rng, YAML.encode()))
            given = [f"hydra.searchpath=[file://{folder}]", "experiment=mine"]
        elif rng.random() < 0.5:
            given = [f"{chosen.partition('=')[0]}={json.dumps(odd_value(rng))[:2000]}"]
        else:
            given = [damaged(rng, chosen.encode()).decode("latin1")]
        cli.to_config(cli.compose_checked([*given, f"run_dir={folder}"]))

    return attempt


OVERRIDES = (
    "data.n_ways=5 data.n_shots=[1,5] data.source=glyphs data.weights=[1,2] data.root=/tmp nas=gdas "
    "nas.t_max=0.5 meta.inner.steps=3 space.channels=8 space.reductions=[0] trainer.max_steps=5 "
    "trainer.devices=2 seed=3 data.augment.shift=1 data.options={} +data.options.split=lake "
    "space.primitives=[conv_3x3] callbacks.progress=null logger=csv ckpt_path=null num_threads=1"
).split()
YAML = """# @package _global_
defaults:
  - override /nas: gdas
data: {n_ways: 5, n_shots: [1, 5], source: glyphs}
meta:
  inner:
    steps: 3
    weight_lr: 0.1
"""
LOADERS: dict[str, tuple[Callable[[Path], Attempt], int]] = {
    "checkpoint_bytes": (checkpoint_bytes, 1000),
    "checkpoint_pickle": (checkpoint_pickle, 1000),
    "checkpoint_values": (checkpoint_values, 300),
    "resumption": (resumption, 60),
    "official_checkpoints": (official_checkpoints, 1000),
    "genotypes": (genotypes, 2000),
    "stores": (stores, 1500),
    "sources": (sources, 240),
    "archives": (archives, 1000),
    "image_files": (image_files, 1000),
    "pickles": (pickles, 1000),
    "run_folders": (run_folders, 700),
    "overrides": (overrides, 200),
}
"""The loaders, and how many cases each gets: 11,000 in all."""
