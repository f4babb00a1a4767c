"""Omniglot (Lake et al. 2015): 1,623 handwritten characters of 50 alphabets, 20 drawings each.

The images come from ``data.root``, which is an unpacked folder or a ``.tar.gz`` of it (read as a
stream, never unpacked), or from the two official zip files, which are downloaded and checked.
All images are held in memory while the store is built (25 MB at 28 x 28).
"""

from __future__ import annotations

import hashlib
import io
import tarfile
import warnings
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from metanas_pl.data.sources import DataRequest, SourceInfo
from metanas_pl.data.sources.progress import track
from metanas_pl.data.store import ClassImages, ClassStore, StoreMeta, build_store

INFO = SourceInfo(
    summary="1,623 handwritten characters of 50 alphabets, 20 drawings each",
    licence="MIT",
    download_bytes=15_900_000,
    n_classes={"train": 825, "val": 139, "test": 659},
)

URL = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/"
MD5 = {
    "images_background.zip": "68d2efa1b9178cc56df9314c21c6e718",
    "images_evaluation.zip": "6b91aef0f799c5bb55b94e3f2daec811",
}
PARTS = ("images_background", "images_evaluation")
N_CLASSES = 1623
N_DRAWINGS = 20
SPLIT_SEED = 0
"""Decides the classes of a split. Not the seed of a run: all runs share one test set."""

Character = tuple[str, str, str]
"""Part, alphabet and character: ``("images_background", "Greek", "character01")``."""


def prepare(request: DataRequest) -> ClassStore:
    """Convert Omniglot into a store below ``request.cache_dir``, or open the one that is there."""
    if request.omniglot_split not in ("lake", "vinyals"):
        raise ValueError(
            f"data.omniglot_split={request.omniglot_split!r} is unknown: choose lake or vinyals"
        )
    size, channels, split = request.image_size, request.channels, request.omniglot_split
    origin = str(request.root.absolute()) if request.root else URL
    origin_key = hashlib.sha256(origin.encode()).hexdigest()[:8]
    key = f"omniglot-{split}-{origin_key}-{size}x{size}x{channels}"
    meta = StoreMeta(
        name="omniglot",
        source=origin,
        licence=INFO.licence,
        ink_is_one=True,
        notes={"split": split, "split_seed": SPLIT_SEED},
    )
    return build_store(request.cache_dir / key, _classes(request), meta)


def _classes(request: DataRequest) -> Iterator[ClassImages]:
    drawings: dict[Character, dict[str, np.ndarray]] = defaultdict(dict)
    for path, data in track(_files(request), "Reading Omniglot (once)"):
        *character, name = path.parts[-4:]
        part, alphabet, letter = character
        drawings[part, alphabet, letter][name] = _decode(path, data, request.image_size)
    _check_complete(drawings, request.root)
    splits = (split_lake if request.omniglot_split == "lake" else split_vinyals)(sorted(drawings))
    for character_key in sorted(drawings):
        _, alphabet, letter = character_key
        images = np.stack([image for _, image in sorted(drawings.pop(character_key).items())])
        repeated = np.repeat(images[:, None], request.channels, axis=1)
        yield ClassImages(letter, alphabet, splits[character_key], repeated)


def split_lake(characters: list[Character]) -> dict[Character, str]:
    """Test on the evaluation alphabets, train on the background ones but for a sixth of them.

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
    """Pool all characters and divide them by a seeded permutation: 1,028 / 172 / 423 of 1,623."""
    n = len(characters)
    n_val, n_test = round(n * 172 / N_CLASSES), round(n * 423 / N_CLASSES)
    names = ["val"] * n_val + ["test"] * n_test + ["train"] * (n - n_val - n_test)
    order = np.random.Generator(np.random.Philox(SPLIT_SEED)).permutation(n)
    return {characters[k]: name for k, name in zip(order, names, strict=True)}


def _decode(path: PurePosixPath, data: bytes, size: int) -> np.ndarray:
    """PNG bytes, black on white, to ``(size, size)`` uint8 with ink 255."""
    from PIL import Image, ImageOps

    try:
        image = ImageOps.invert(Image.open(io.BytesIO(data)).convert("L"))
    except (OSError, SyntaxError) as error:
        raise ValueError(f"Omniglot: {path} is no readable image ({error})") from error
    return np.asarray(image.resize((size, size), Image.Resampling.LANCZOS))


def _check_complete(drawings: dict[Character, dict[str, np.ndarray]], root: Path | None) -> None:
    if not drawings:
        raise ValueError(
            f"data.root={root} holds no Omniglot images: expected a .tar.gz or a folder with "
            f"{PARTS[0]}/<alphabet>/<character>/*.png and {PARTS[1]}/…"
        )
    complete = all(len(images) == N_DRAWINGS for images in drawings.values())
    if len(drawings) != N_CLASSES or not complete:
        warnings.warn(
            f"Omniglot in {root} is not the whole data set of {N_CLASSES:,} characters with "
            f"{N_DRAWINGS} drawings: found {len(drawings):,} characters",
            stacklevel=2,
        )


def _files(request: DataRequest) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Path and bytes of every image, in any order."""
    root = request.root
    if root is None:
        for name in PARTS:
            yield from _from_zip(_download(f"{name}.zip", request.cache_dir))
    elif root.is_dir():
        yield from _from_folder(root)
    elif root.is_file() and tarfile.is_tarfile(root):
        yield from _from_tar(root)
    else:
        raise ValueError(f"data.root={root} is neither a folder nor a tar file")


def _is_drawing(path: PurePosixPath) -> bool:
    return path.suffix == ".png" and len(path.parts) >= 4 and path.parts[-4] in PARTS


def _from_tar(archive: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    with tarfile.open(archive, "r|*") as tar:
        for member in tar:
            path = PurePosixPath(member.name)
            if member.isfile() and _is_drawing(path) and (file := tar.extractfile(member)):
                yield path, file.read()


def _from_folder(root: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    inner = root / "omniglot-py"
    base = inner if inner.is_dir() else root
    for part in PARTS:
        for file in sorted((base / part).glob("*/*/*.png")):
            yield PurePosixPath(file.relative_to(base).as_posix()), file.read_bytes()


def _from_zip(archive: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    with zipfile.ZipFile(archive) as zipped:
        for name in zipped.namelist():
            if _is_drawing(PurePosixPath(name)):
                yield PurePosixPath(name), zipped.read(name)


def _download(name: str, cache_dir: Path) -> Path:
    import pooch

    folder = cache_dir / "downloads"
    try:
        return Path(pooch.retrieve(URL + name, f"md5:{MD5[name]}", fname=name, path=folder))
    except Exception as error:
        raise RuntimeError(
            f"could not download {URL}{name} ({error}): get Omniglot elsewhere and point "
            "data.root at the unpacked folder or its .tar.gz"
        ) from error
