"""Small archives in the formats in which the data sets are published.

Image ``k`` of class ``c`` is random and of its own, so that content names its origin.
"""

from __future__ import annotations

import io
import pickle
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

N = 4
"""Images of a class."""
CLASSES = {
    "train": ("ant", "bee", "cat"),
    "val": ("dog", "elk", "fox"),
    "test": ("gnu", "hen", "ibis"),
}
GROUPS = {"train": "insects and cats", "val": "canines and deer", "test": "others"}


def picture(name: str, k: int, side: int) -> np.ndarray:
    """Image ``k`` of class ``name``, ``(side, side, 3)``."""
    key = [k, side, *name.encode()]
    return np.random.default_rng(key).integers(0, 256, (side, side, 3), dtype=np.uint8)


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def write_tar(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def write_folder(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def miniimagenet_pickles(protocol: int = 2) -> dict[str, bytes]:
    """Images of all classes mixed, and the rows of each class."""
    files = {}
    for split, names in CLASSES.items():
        images = np.stack([picture(name, k, 84) for k in range(N) for name in names])
        rows = {name: [k * len(names) + c for k in range(N)] for c, name in enumerate(names)}
        long_name = "validation" if split == "val" else split
        table = {"image_data": images, "class_dict": rows}
        files[f"mini-imagenet-cache-{long_name}.pkl"] = pickle.dumps(table, protocol)
    return files


def miniimagenet_tables() -> dict[str, bytes]:
    """One folder of images, and the tables that sort them."""
    files: dict[str, bytes] = {}
    for split, names in CLASSES.items():
        lines = ["filename,label"]
        for k in range(N):
            for name in names:
                files[f"mini/images/{name}{k:08d}.png"] = png(picture(name, k, 84))
                lines.append(f"{name}{k:08d}.png,{name}")
        files[f"mini/{split}.csv"] = "\n".join(lines).encode()
    return files


def miniimagenet_folders() -> dict[str, bytes]:
    """Images in folders ``<split>/<class>``, with the same file names in every class."""
    return {
        f"mini/{split}/{name}/{k}.png": png(picture(name, k, 84))
        for split, names in CLASSES.items()
        for name in names
        for k in range(N)
    }


def tieredimagenet_pickles(protocol: int = 4, as_arrays: bool = True) -> dict[str, bytes]:
    """A list of PNGs in a mixed order, and their labels and superclasses."""
    files = {}
    for split, names in CLASSES.items():
        order = np.random.default_rng(0).permutation(N * len(names))
        kinds = order % len(names)
        pngs: list[Any] = [
            png(picture(names[c], k, 84)) for k, c in zip(order // len(names), kinds, strict=True)
        ]
        if as_arrays:  # as cv2.imencode gives them
            pngs = [np.frombuffer(data, np.uint8).reshape(-1, 1) for data in pngs]
        labels = {
            "label_specific": kinds,
            "label_general": np.zeros(len(order), int),
            "label_specific_str": list(names),
            "label_general_str": [GROUPS[split]],
        }
        files[f"tiered-imagenet-{split}_images_png.pkl"] = pickle.dumps(pngs, protocol)
        files[f"tiered-imagenet-{split}_labels.pkl"] = pickle.dumps(labels, protocol)
    return files


SUPERCLASSES = ("trees", "flowers", "insects", "people", "small_mammals", "large_carnivores")


CIFAR_FS_CLASSES = {"train": ("bee", "tulip"), "val": ("crab", "lamp"), "test": ("fox", "rose")}


def cifar100_files(classes: dict[str, tuple[str, ...]] = CLASSES) -> dict[str, bytes]:
    """What ``cifar-100-python.tar.gz`` holds; class ``c`` is of superclass ``c % 6``."""
    names = [name for split in classes.values() for name in split]
    coarse = [c % len(SUPERCLASSES) for c in range(len(names))]
    tables: dict[str, Any] = {
        "meta": {b"fine_label_names": names, b"coarse_label_names": list(SUPERCLASSES)}
    }
    for part, images in (("train", range(N - 1)), ("test", range(N - 1, N))):
        rows = [(c, picture(name, k, 32)) for k in images for c, name in enumerate(names)]
        tables[part] = {
            b"data": np.stack([pixels.transpose(2, 0, 1).ravel() for _, pixels in rows]),
            b"fine_labels": [c for c, _ in rows],
            b"coarse_labels": [coarse[c] for c, _ in rows],
        }
    return {f"cifar-100-python/{k}": pickle.dumps(table, 2) for k, table in tables.items()}


def cub_files() -> dict[str, bytes]:
    """What ``CUB_200_2011.tgz`` holds, with 12 classes; each bird fills the box (10, 20, 40, 30)."""
    files, names, boxes = {}, [], []
    for c in range(12):
        for k in range(N):
            name = f"{c + 1:03d}.Bird{c}/Bird{c}_{k}.jpg"
            files[f"CUB_200_2011/images/{name}"] = png(picture(f"bird{c}", k, 84))
            names.append(f"{len(names) + 1} {name}")
            boxes.append(f"{len(names)} 10.0 20.0 40.0 30.0")
    files["CUB_200_2011/images.txt"] = "\n".join(names).encode()
    files["CUB_200_2011/bounding_boxes.txt"] = "\n".join(boxes).encode()
    files["attributes.txt"] = b"1 has_bill_shape::curved"
    return files
