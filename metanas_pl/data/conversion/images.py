"""From the bytes of image files to the classes of a store, on all cores."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

import numpy as np

from metanas_pl.data.conversion.decoding import Decoding, decoded
from metanas_pl.data.store.class_store import ClassImages
from metanas_pl.errors import UserError
from metanas_pl.utils.progress import track

if TYPE_CHECKING:
    from PIL import Image

CHUNK = 32
"""Images that a thread takes at once."""
NAMED = 20
"""Unreadable files that a message names."""

Box = tuple[float, float, float, float]
Key = TypeVar("Key")
Item = TypeVar("Item")
Result = TypeVar("Result")


class ClassFiles(NamedTuple, Generic[Key]):
    """A class whose images are still to be read; ``files`` in the order they get in the store."""

    name: str
    group: str
    split: str
    files: Sequence[Key]


def to_pixels(
    data: bytes,
    size: int,
    channels: int,
    box: Box | None = None,
    how: Decoding = Decoding(),  # noqa: B008
) -> np.ndarray:
    """Returns an image file as ``(channels, size, size)`` uint8.

    The image is decoded (:func:`decoded`), cut to ``box`` if there is one, made grey or colour, cut to
    its centred square and resampled (bicubic); one that has the asked size already keeps its pixels.

    Args:
        data: content of the file.
        size: height and width in pixels.
        channels: 1 (grey) or 3 (colour).
        box: left, upper, right and lower edge in pixels.
        how: background of transparent images, most pixels.

    Raises:
        UserError: see :func:`decoded`.
    """
    from PIL import Image, ImageOps

    picture = decoded(data, how)
    image = (picture.crop(box) if box else picture).convert("L" if channels == 1 else "RGB")
    return _as_array(ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC), channels)


def resized(images: np.ndarray, size: int, channels: int) -> np.ndarray:
    """Returns images ``(n, H, W, 3)`` or ``(n, H, W, 1)`` as ``(n, channels, size, size)``.

    All uint8, by the rule of :func:`to_pixels`.

    >>> resized(np.zeros((2, 8, 8, 3), np.uint8), 4, 1).shape
    (2, 1, 4, 4)
    """
    from PIL import Image, ImageOps

    if images.shape[1:] == (size, size, channels):
        return images.transpose(0, 3, 1, 2)
    mode = "L" if channels == 1 else "RGB"
    square, bicubic = (size, size), Image.Resampling.BICUBIC
    pictures = (Image.fromarray(x.squeeze(-1) if x.shape[-1] == 1 else x) for x in images)
    fitted = (ImageOps.fit(picture.convert(mode), square, bicubic) for picture in pictures)
    return np.stack([_as_array(picture, channels) for picture in fitted])


def _as_array(picture: Image.Image, channels: int) -> np.ndarray:
    height, width = picture.size[::-1]
    return np.asarray(picture).reshape(height, width, channels).transpose(2, 0, 1)


def read_classes(
    classes: Sequence[ClassFiles[Key]], read: Callable[[Key], np.ndarray], message: str
) -> Iterator[ClassImages]:
    """Reads the images of ``classes``, one class after the other.

    Args:
        classes: what to read.
        read: one image ``(C, H, W)`` of uint8; called from several threads.
        message: what the user sees meanwhile.

    Raises:
        UserError: files are no readable images; they are named, each with the reason.
    """
    unreadable: list[tuple[str, str]] = []

    def attempt(file: Key) -> np.ndarray | None:
        try:
            return read(file)
        except (OSError, UserError, UnicodeError) as error:
            unreadable.append((str(file), str(error)))
            return None

    images = parallel_map(attempt, (file for item in classes for file in item.files))
    for item in track(classes, message):
        found = [image for image in islice(images, len(item.files)) if image is not None]
        if not unreadable:  # otherwise only look for further unreadable files
            yield ClassImages(item.name, item.group, item.split, np.stack(found))
    if unreadable:
        raise UserError(_refusal(unreadable))


def _refusal(unreadable: list[tuple[str, str]]) -> str:
    """Returns what is said of files, each with the reason why it was refused; a reason is told once."""
    names: dict[str, list[str]] = {}
    for file, reason in sorted(unreadable)[:NAMED]:
        names.setdefault(reason, []).append(file)
    told = "; ".join(f"{', '.join(files)} ({reason})" for reason, files in names.items())
    more = f"; and {len(unreadable) - NAMED:,} more" if len(unreadable) > NAMED else ""
    return f"{len(unreadable):,} files were refused, remove, repair or convert them: {told}{more}"


def parallel_map(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """``map`` in one thread per core, in order; only a few chunks of results wait at any time.

    Threads, not processes: Pillow decodes and resamples without the interpreter's lock.

    >>> list(parallel_map(abs, [-1, 2, -3]))
    [1, 2, 3]
    """
    rest = iter(items)
    n_threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    waiting: deque[Future[list[Result]]] = deque()
    pool = ThreadPoolExecutor(n_threads)
    try:
        while True:
            while len(waiting) < 2 * (n_threads or 1) and (chunk := list(islice(rest, CHUNK))):
                waiting.append(pool.submit(lambda part: [function(x) for x in part], chunk))
            if not waiting:
                return
            yield from waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
