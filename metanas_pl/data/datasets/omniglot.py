"""Omniglot (Lake et al. 2015): 1,623 handwritten characters of 50 alphabets, 20 drawings each.

The images come from ``data.root``, which is an unpacked folder, a zip or a ``.tar.gz`` of it, or
from the two official zip files, which are downloaded and checked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path, PurePosixPath

import numpy as np

from metanas_pl.data.conversion.decoding import decoded
from metanas_pl.data.conversion.images import ClassFiles, read_classes
from metanas_pl.data.datasets import DataRequest, SourceInfo
from metanas_pl.data.datasets.published import build_published, fetched, warn_unless_whole
from metanas_pl.data.datasets.splitting import SPLIT_SEED
from metanas_pl.data.download.archives import Files, open_files
from metanas_pl.data.store.class_store import ClassImages, ClassStore
from metanas_pl.errors import UserError

INFO = SourceInfo(
    summary="1,623 handwritten characters of 50 alphabets, 20 drawings each",
    licence="MIT",
    download_bytes=15_900_000,
    n_classes={"train": 825, "val": 139, "test": 659},
    images_a_class=20,
    options={"split": ("lake", "vinyals")},
)

URL = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/"
MD5 = {
    "images_background.zip": "68d2efa1b9178cc56df9314c21c6e718",
    "images_evaluation.zip": "6b91aef0f799c5bb55b94e3f2daec811",
}
PARTS = ("images_background", "images_evaluation")
N_CLASSES = 1623

Character = tuple[str, str, str]
"""Part, alphabet and character: ``("images_background", "Greek", "character01")``."""


def prepare(request: DataRequest) -> ClassStore:
    """Converts Omniglot into a store below ``request.cache_dir``, or opens the one that is there."""
    classes, seed = _classes(request), SPLIT_SEED
    return build_published("omniglot", INFO, URL, request, classes, True, split_seed=seed)


def _classes(request: DataRequest) -> Iterator[ClassImages]:
    with ExitStack() as stack:
        home: dict[PurePosixPath, Files] = {}
        drawings: dict[Character, dict[str, PurePosixPath]] = defaultdict(dict)
        for root in _roots(request):
            files = stack.enter_context(open_files(root, _is_drawing, request.cache_dir))
            for path in files.names:
                part, alphabet, letter, name = path.parts[-4:]
                drawings[part, alphabet, letter][name] = path
                home[path] = files
        if not drawings:
            raise UserError(
                f"data.root={request.root} holds no Omniglot images: expected a .tar.gz or a "
                f"folder with {PARTS[0]}/<alphabet>/<character>/*.png and {PARTS[1]}/…"
            )
        split_of = split_lake if request.options["split"] == "lake" else split_vinyals
        splits = split_of(sorted(drawings))
        classes = [
            ClassFiles(key[2], key[1], splits[key], [file for _, file in sorted(named.items())])
            for key, named in sorted(drawings.items())
        ]
        warn_unless_whole("Omniglot", INFO, request.root, classes)

        def read(path: PurePosixPath) -> np.ndarray:
            return _decode(home[path].read(path), request.image_size, request.channels)

        yield from read_classes(classes, read, "Converting Omniglot (once)")


def _roots(request: DataRequest) -> list[Path]:
    if request.root is not None:
        return [request.root]
    return [fetched(URL + name, request, f"md5:{md5}") for name, md5 in MD5.items()]


def split_lake(characters: list[Character]) -> dict[Character, str]:
    """Splits by alphabet: evaluation ones for the test, a sixth of the background ones for validation.

    With all 30 background alphabets, those for validation are Alphabet of the Magi, Armenian,
    Blackfoot, Early Aramaic and Sanskrit, as chosen by ``SPLIT_SEED``: 825 / 139 / 659 classes.
    """
    alphabets = sorted({alphabet for part, alphabet, _ in characters if part == PARTS[0]})
    rng = np.random.Generator(np.random.Philox(SPLIT_SEED))
    n_val = max(1, len(alphabets) // 6)
    chosen = {alphabets[k] for k in rng.choice(len(alphabets), n_val, replace=False)}
    return {
        (part, alphabet, letter): (
            "test" if part == PARTS[1] else "val" if alphabet in chosen else "train"
        )
        for part, alphabet, letter in characters
    }


def split_vinyals(characters: list[Character]) -> dict[Character, str]:
    """Pools all characters and divides them by a seeded permutation: 1,028 / 172 / 423 of 1,623."""
    n = len(characters)
    n_val, n_test = round(n * 172 / N_CLASSES), round(n * 423 / N_CLASSES)
    names = ["val"] * n_val + ["test"] * n_test + ["train"] * (n - n_val - n_test)
    order = np.random.Generator(np.random.Philox(SPLIT_SEED)).permutation(n)
    return {characters[k]: name for k, name in zip(order, names, strict=True)}


def _is_drawing(path: PurePosixPath) -> bool:
    return path.suffix == ".png" and len(path.parts) >= 4 and path.parts[-4] in PARTS


def _decode(data: bytes, size: int, channels: int) -> np.ndarray:
    """PNG bytes, black on white, to ``(channels, size, size)`` uint8 with ink 255."""
    from PIL import Image, ImageOps

    image = ImageOps.invert(decoded(data).convert("L"))
    pixels = np.asarray(image.resize((size, size), Image.Resampling.LANCZOS))
    return np.repeat(pixels[None], channels, axis=0)
