"""Loaders of genotypes, and of stores and all that they are made from."""

from __future__ import annotations

import io
import json
import pickle
import shutil
from pathlib import Path, PurePosixPath
from random import Random

import numpy as np
from PIL import Image

from benchmarks.endurance._checkpoint_loaders import Attempt
from benchmarks.endurance._mutations import altered, damaged
from metanas_pl.data.conversion.images import to_pixels
from metanas_pl.data.datasets import DataRequest, prepare_source
from metanas_pl.data.download.archives import open_files
from metanas_pl.data.download.pickles import load_pickle
from metanas_pl.data.store.cache import stores_in
from metanas_pl.data.store.class_store import ClassImages, ClassStore, StoreMeta, build_store
from metanas_pl.data.store.verification import is_verified, record, verify_store
from metanas_pl.search_spaces.genotypes.genotype import Genotype
from metanas_pl.search_spaces.nasbench201.genotype import EXAMPLE, Nasbench201Genotype
from tests.data import published_archives


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
