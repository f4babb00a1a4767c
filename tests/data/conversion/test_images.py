"""From files to pixels: the resizing rule, the order, and what cannot be read."""

from __future__ import annotations

import io
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metanas_pl.data.conversion.images import (
    ClassFiles,
    parallel_map,
    read_classes,
    resized,
    to_pixels,
)
from metanas_pl.errors import UserError

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)


def encoded(pixels: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", **options)
    return file.getvalue()


def test_an_image_of_the_asked_size_keeps_its_pixels() -> None:
    square = PIXELS[:, 4:16]
    np.testing.assert_array_equal(to_pixels(encoded(square), 12, 3), square.transpose(2, 0, 1))
    np.testing.assert_array_equal(resized(square[None], 12, 3)[0], square.transpose(2, 0, 1))


@pytest.mark.parametrize("channels", [1, 3])
def test_files_and_arrays_are_resized_by_one_rule(channels: int) -> None:
    image = Image.fromarray(PIXELS).convert("L" if channels == 1 else "RGB")
    square = image.resize((7, 7), Image.Resampling.BICUBIC, box=(4, 0, 16, 12))
    expected = np.asarray(square).reshape(7, 7, channels)
    np.testing.assert_array_equal(
        to_pixels(encoded(PIXELS), 7, channels).transpose(1, 2, 0), expected
    )
    found = resized(PIXELS[None], 7, channels)[0]
    np.testing.assert_array_equal(found.transpose(1, 2, 0), expected)


def test_grey_becomes_three_equal_channels() -> None:
    grey = PIXELS[:, :12, :1]
    for found in (resized(grey[None], 12, 3)[0], to_pixels(encoded(grey[..., 0]), 12, 3)):
        np.testing.assert_array_equal(found, np.repeat(grey.transpose(2, 0, 1), 3, axis=0))


def test_a_photograph_is_turned_upright_and_cut() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side
    upright = np.rot90(PIXELS, -1)
    turned = to_pixels(encoded(PIXELS, exif=exif), 8, 3, (2, 5, 10, 13))
    np.testing.assert_array_equal(turned.transpose(1, 2, 0), upright[5:13, 2:10])


def test_results_come_in_order_and_few_are_ahead() -> None:
    taken, most = 0, 0

    def items() -> object:
        nonlocal taken
        for k in range(2000):
            taken += 1
            yield k

    threads = set()

    def square(k: int) -> int:
        threads.add(threading.get_ident())
        time.sleep(0.0001)
        return k * k

    for k, result in enumerate(parallel_map(square, items())):  # type: ignore[arg-type]
        assert result == k * k
        most = max(most, taken - k)
    assert most < 1000 and threading.get_ident() not in threads


def test_an_error_or_an_early_end_stops_the_threads() -> None:
    before = set(threading.enumerate())
    with pytest.raises(ZeroDivisionError):
        list(parallel_map(lambda k: 1 // (k - 100), range(10_000)))
    results = parallel_map(abs, range(10_000))
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert set(threading.enumerate()) <= before


def test_unreadable_files_are_all_named_up_to_twenty(tmp_path: Path) -> None:
    def read(name: str) -> np.ndarray:
        return to_pixels(b"no image" if name.startswith("bad") else encoded(PIXELS), 4, 3)

    classes = [
        ClassFiles("a", "", "train", ["good", "bad0"]),
        ClassFiles("b", "", "val", [f"bad{k}" for k in range(10, 40)]),
        ClassFiles("c", "", "test", ["good"]),
    ]
    with pytest.raises(
        ValueError,
        match=r"31 files were refused.*bad0, bad10.*bad28 \(none of the .*\); and 11 more",
    ):
        list(read_classes(classes, read, "Reading"))
    (item,) = read_classes([ClassFiles("c", "g", "test", ["good"] * 50)], read, "Reading")
    assert item.name == "c" and item.images.shape == (50, 3, 4, 4)


def test_each_reason_is_told_once_and_faults_of_our_own_are_none() -> None:
    def read(name: str) -> np.ndarray:
        if name == "fault":
            raise ValueError("a fault of the program")
        return to_pixels({"a": b"", "b": b"%PDF", "c": b""}[name], 4, 3)

    with pytest.raises(UserError, match=r": a, c \(it is empty\); b \(it is PDF, [^)]*\)$"):
        list(read_classes([ClassFiles("x", "", "train", ["b", "a", "c"])], read, "Reading"))
    with pytest.raises(ValueError, match="a fault of the program") as caught:
        list(read_classes([ClassFiles("x", "", "train", ["fault"])], read, "Reading"))
    assert not isinstance(caught.value, UserError)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (3, 2)])
@pytest.mark.parametrize("channels", [1, 3])
def test_one_pixel_and_extreme_shapes(shape: tuple[int, int], channels: int) -> None:
    pixels = np.full((*shape, 3), 90, np.uint8)
    found = to_pixels(encoded(pixels), 28, channels)
    np.testing.assert_array_equal(found, np.full((channels, 28, 28), 90))


def test_an_image_larger_than_a_camera_makes_is_not_decoded() -> None:
    """A PNG of a few bytes can claim a terabyte of pixels."""
    data = bytearray(encoded(PIXELS))
    data[16:24] = (40_000).to_bytes(4, "big") + (40_000).to_bytes(4, "big")
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    with pytest.raises(ValueError, match="more than 178,956,970 pixels"):
        to_pixels(bytes(data), 4, 3)
    data[16:24] = (10_000).to_bytes(4, "big") + (10_000).to_bytes(4, "big")  # which Pillow takes
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    with pytest.raises(
        ValueError,
        match="it has 10000 x 10000 pixels, more than .*=67108864",
    ):
        to_pixels(bytes(data), 4, 3)


def test_no_program_is_started_for_an_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow hands PostScript to Ghostscript, whatever the name of the file."""
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, "EPS")
    monkeypatch.setattr("subprocess.Popen", lambda *a, **k: pytest.fail("a program was started"))
    with pytest.raises(ValueError, match="it is PostScript"):
        to_pixels(file.getvalue(), 4, 3)
