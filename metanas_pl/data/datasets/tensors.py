"""Images that are arrays already: from Python, or from an ``.npz`` file."""

from __future__ import annotations

import hashlib
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from metanas_pl.data.conversion.decoding import DECODING, check_range, scaled
from metanas_pl.data.conversion.images import resized
from metanas_pl.data.datasets import DataRequest, SourceInfo
from metanas_pl.data.datasets.splitting import split_names
from metanas_pl.data.download.archives import DAMAGE
from metanas_pl.data.store.class_store import ClassImages, ClassStore, StoreMeta, build_store
from metanas_pl.errors import UserError

INFO = SourceInfo(summary="your own arrays, an .npz file (data.root)", licence="yours")

MOST_UNPACKED, FREE_BYTES = 200, 1 << 28
"""How many times its size an .npz file may unpack to, and how many bytes any one may."""

HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}

KEYS = "images, labels and, if you like, splits and groups"


def prepare(request: DataRequest) -> ClassStore:
    """Builds the store of an ``.npz`` file, or opens one that :func:`store_from_arrays` has built.

    The file holds the arguments of :func:`store_from_arrays` by name, as ``numpy.savez(path,
    images=images, labels=labels)`` writes them. Images of another size than ``image_size`` are resampled.

    Raises:
        UserError: ``data.root`` is neither, or its arrays do not fit.
    """
    root = request.root
    size, channels = request.image_size, request.channels
    if root is not None and root.is_dir():
        return _opened(root, (channels, size, size))
    if root is None or not root.is_file():
        raise UserError(f"data.root={root} must be an .npz file with {KEYS}, or a store's folder")
    status = root.stat()
    mark = repr((DECODING, str(root.absolute()), status.st_size, status.st_mtime_ns))
    fingerprint = hashlib.sha256(mark.encode()).hexdigest()[:12]
    key = f"tensors-{root.stem}-{fingerprint}-{size}x{size}x{channels}"
    meta = StoreMeta(f"tensors {root.stem}", str(root.absolute()), "unknown")
    return build_store(request.cache_dir / key, _from_file(root, size, channels), meta)


def store_from_arrays(
    folder: str | Path,
    images: object,
    labels: object,
    splits: object = None,
    groups: object = None,
    name: str = "tensors",
) -> ClassStore:
    """Writes arrays (or CPU tensors) as a store, which ``data=tensors data.root=<folder>`` then reads.

    Args:
        folder: of the store; it must not exist.
        images: ``(n, H, W)``, ``(n, C, H, W)`` or ``(n, H, W, C)``, C = 1 or 3: uint8, integers that fill
            the range of their type, booleans, or floats in [0, 1]. Channels come first if both fit.
        labels: ``(n,)`` integers or names: the class of each image.
        splits: ``(n,)`` of ``train``, ``val`` and ``test``, the same within a class; None draws
            60 % of the classes for training, 20 % each for validation and test, always the same ones.
        groups: ``(n,)`` names of families of classes, the same within a class; None: no groups.
        name: of the data set, used in messages.

    Raises:
        FileExistsError: ``folder`` exists.
        UserError: the arrays do not fit each other.

    >>> import tempfile
    >>> images, labels = np.zeros((6, 8, 8), np.uint8), [0, 0, 1, 1, 2, 2]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store_from_arrays(f"{folder}/store", images, labels)
    ClassStore(tensors, classes: train=1, val=1, test=1, image_shape=(1, 8, 8))
    """
    folder = Path(folder).expanduser()
    if folder.exists():
        raise FileExistsError(f"{folder} exists: choose another folder, or remove it")
    meta = StoreMeta(name, "arrays", "unknown")
    return build_store(folder, _classes(images, labels, splits, groups), meta)


def _opened(root: Path, shape: tuple[int, int, int]) -> ClassStore:
    store = ClassStore.open(root)
    if store.image_shape != shape:
        channels, height, _ = store.image_shape
        raise UserError(
            f"data.root={root} holds images of {store.image_shape}: set data.channels={channels} "
            f"data.image_size={height}"
        )
    return store


def _from_file(root: Path, size: int, channels: int) -> Iterator[ClassImages]:
    try:
        _check_unpacked(root)
        with np.load(root, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except (*DAMAGE, SyntaxError, TypeError, MemoryError) as error:
        raise UserError(f"data.root={root} is no readable .npz file ({error})") from error
    known = {"images", "labels", "splits", "groups"}
    if not {"images", "labels"} <= set(arrays) <= known:
        raise UserError(f"data.root={root} holds {', '.join(arrays)}, expected {KEYS}")
    for item in _classes(**arrays):
        pixels = resized(item.images.transpose(0, 2, 3, 1), size, channels)
        yield item._replace(images=pixels)


def _check_unpacked(root: Path) -> None:
    """Refuses arrays that claim more bytes than are there, or that unpack to far more than images do."""
    with zipfile.ZipFile(root) as archive:
        total = sum(member.file_size for member in archive.infolist())
        if total > max(MOST_UNPACKED * root.stat().st_size, FREE_BYTES):
            raise UserError(f"it unpacks to {total:,} bytes")
        for member in archive.infolist():
            with archive.open(member) as file:
                shape, _, dtype = HEADERS[np.lib.format.read_magic(file)](file)
            if dtype.hasobject or math.prod(shape) * dtype.itemsize > member.file_size:
                raise UserError(f"{member.filename} is cut short, or holds no numbers")


def _classes(
    images: object, labels: object, splits: object = None, groups: object = None
) -> Iterator[ClassImages]:
    given = {"images": images, "labels": labels, "splits": splits, "groups": groups}
    columns = {key: _array(key, values) for key, values in given.items() if values is not None}
    pixels, labels = channels_first(columns.pop("images")), columns["labels"]
    try:
        check_range(pixels)  # of all of them: a single class may be dark
    except UserError as error:
        raise UserError(f"images: {error}") from error
    n = len(pixels)
    for key, values in columns.items():
        if values.shape != (n,):
            raise UserError(f"{key} have shape {values.shape}, expected ({n},): one of each image")
    names, class_of = np.unique(labels, return_inverse=True)
    if splits is None:
        columns["splits"] = np.array(split_names(len(names)))[class_of]
    columns.setdefault("groups", np.full(n, ""))
    for k, name in enumerate(names):
        rows = np.flatnonzero(class_of == k)
        split, group = (_common(columns[key][rows], key, name) for key in ("splits", "groups"))
        yield ClassImages(str(name), group, split, scaled(pixels[rows]))


def _array(key: str, values: object) -> np.ndarray:
    try:
        return np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:  # such as tensors that need gradients
        reason = str(error).splitlines()[0]
        raise UserError(f"{key} are no array, nor can they be made one: {reason}") from error


def channels_first(images: np.ndarray) -> np.ndarray:
    """Returns images as ``(n, C, H, W)``, from ``(n, H, W)``, ``(n, C, H, W)`` or ``(n, H, W, C)``.

    Raises:
        UserError: they have another shape.

    >>> channels_first(np.zeros((2, 8, 9, 3))).shape, channels_first(np.zeros((2, 8, 9))).shape
    ((2, 3, 8, 9), (2, 1, 8, 9))
    """
    if images.ndim == 3:
        return images[:, None]
    if images.ndim == 4 and images.shape[1] in (1, 3):
        return images
    if images.ndim == 4 and images.shape[3] in (1, 3):
        return images.transpose(0, 3, 1, 2)
    raise UserError(
        f"images have shape {images.shape}, expected (n, H, W), (n, C, H, W) or (n, H, W, C), C = 1 or 3"
    )


def _common(values: np.ndarray, key: str, name: object) -> str:
    """Returns the value that all images of a class have."""
    found = np.unique(values)
    if len(found) > 1:
        raise UserError(f"class {name} has several {key}: {', '.join(map(str, found))}")
    return str(found[0])
