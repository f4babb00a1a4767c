"""Values of all kinds of image files, against what the encoder was given."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, features

from metanas_pl.data.conversion.decoding import (
    BACKGROUNDS,
    FORMATS,
    OPTIONAL,
    SUFFIXES,
    Decoding,
    Greys,
    _opaque,
    decoded,
    eight_bits,
    known_formats,
)
from metanas_pl.errors import UserError

RAMP = np.linspace(0, 1, 6)
GREYS = np.array([0, 51, 102, 153, 204, 255])


def read(picture: Any, format: str = "PNG", how: Decoding = Decoding(), **options: Any) -> Any:  # noqa: B008
    file = io.BytesIO()
    picture.save(file, format, **options)
    return np.asarray(decoded(file.getvalue(), how))


def png(bits: int, colours: int, row: bytes, transparent: bytes = b"") -> bytes:
    """A PNG of two pixels, written by hand because Pillow writes few depths."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", 2, 1, bits, colours, 0, 0, 0)
    key = chunk(b"tRNS", transparent) if transparent else b""
    body = chunk(b"IDAT", zlib.compress(b"\0" + row)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + key + body


def tiff(bits: int, kind: int, row: bytes, white: int = 1) -> bytes:
    """A grey TIFF of two pixels: ``kind`` 1 is unsigned, 2 signed, 3 float; ``white`` 0: 0 is white."""
    tags = {256: 2, 257: 1, 258: bits, 259: 1, 262: white, 273: 8, 277: 1, 278: 1, 279: len(row)}
    entries = [struct.pack("<HHII", k, 4, 1, v) for k, v in {**tags, 339: kind}.items()]
    start = 8 + len(row)
    body = struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    return b"II*\0" + struct.pack("<I", start) + row + body


def grey(data: bytes) -> list[int]:
    return np.asarray(decoded(data).convert("L"))[0].tolist()


def wide(dtype: Any) -> np.ndarray:
    top = np.iinfo(dtype).max if np.dtype(dtype).kind in "iu" else 1
    return np.rint(RAMP * top).astype(dtype)[None] if top > 1 else RAMP.astype(dtype)[None]


@pytest.mark.parametrize(
    ("dtype", "format"),
    [(np.uint16, "PNG"), (np.uint16, "TIFF"), (np.int32, "TIFF"), (np.float32, "TIFF")],
)
def test_a_ramp_of_any_depth_is_a_ramp(dtype: Any, format: str) -> None:
    found = read(Image.fromarray(wide(dtype)), format)
    np.testing.assert_allclose(found[0], GREYS, atol=1)


def test_sixteen_bits_of_a_scanner() -> None:
    ramp = np.array([[0, 8481, 16705, 33410, 49858, 65535]], np.uint16)
    np.testing.assert_array_equal(read(Image.fromarray(ramp))[0], [0, 33, 65, 130, 194, 255])


def test_portable_maps_of_sixteen_bits() -> None:
    header = b"P5 3 1 65535\n"
    assert grey(header + np.array([0, 32768, 65535], ">u2").tobytes()) == [0, 128, 255]
    assert grey(b"P2 3 1 1000\n0 500 1000\n") == [0, 128, 255]
    assert grey(b"Pf 2 1 -1.0\n" + np.array([0, 0.5], "<f4").tobytes()) == [0, 128]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (tiff(12, 1, bytes([0x80, 0x0F, 0xFF])), [128, 255]),
        (tiff(16, 2, struct.pack("<2h", 0, 2**15 - 1)), [0, 255]),
        (tiff(32, 1, struct.pack("<2I", 2**31, 2**32 - 1)), [128, 255]),
        (tiff(32, 2, struct.pack("<2i", 2**30, 2**31 - 1)), [128, 255]),
        (tiff(8, 2, bytes([0, 127])), [0, 255]),
        (tiff(16, 1, struct.pack("<2H", 0, 65535), white=0), [255, 0]),
        (tiff(8, 1, bytes([0, 255]), white=0), [255, 0]),
        (tiff(32, 3, struct.pack("<2f", 0, 0.75), white=0), [255, 64]),
    ],
    ids="12-bit int16 uint32 int32 int8 inverted-16 inverted-8 inverted-float".split(),
)
def test_kinds_of_grey_that_only_a_tiff_tells(data: bytes, expected: list[int]) -> None:
    assert grey(data) == expected


@pytest.mark.parametrize(
    "data", [tiff(8, 2, bytes([255, 1])), tiff(16, 2, struct.pack("<2h", -1000, 3000))]
)
def test_negative_values_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"int(8|16) go from -1(000)? to"):
        decoded(data)


@pytest.mark.parametrize(
    "data",
    [
        png(1, 0, bytes([0b01000000]), struct.pack(">H", 1)),
        png(2, 0, bytes([0b00100000]), struct.pack(">H", 2)),
        png(4, 0, bytes([0x0A]), struct.pack(">H", 10)),
        png(8, 0, bytes([0, 77]), struct.pack(">H", 77)),
        png(16, 0, struct.pack(">2H", 0, 0x1234), struct.pack(">H", 0x1234)),
        png(8, 2, bytes([0, 0, 0, 9, 8, 7]), struct.pack(">3H", 9, 8, 7)),
        png(
            16,
            2,
            struct.pack(">6H", 0, 0, 0, 0x1234, 0x5678, 5),
            struct.pack(">3H", 0x1234, 0x5678, 5),
        ),
    ],
    ids="1 2 4 8 16 8-colour 16-colour".split(),
)
def test_a_transparent_value_of_any_depth(data: bytes) -> None:
    assert grey(data) == [0, 255]


def test_a_transparent_palette_without_a_key() -> None:
    """A TGA whose palette has an alpha of its own."""
    header = struct.pack("<BBBHHBHHHHBB", 0, 1, 1, 0, 2, 32, 0, 0, 2, 1, 8, 0x20)
    palette = bytes([0, 0, 0, 255]) + bytes([0, 0, 200, 0])
    assert grey(header + palette + bytes([0, 1])) == [0, 255]


def test_an_opaque_image_with_an_alpha_channel_keeps_its_colours() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 4), dtype=np.uint8)
    pixels[..., 3] = 255
    np.testing.assert_array_equal(read(Image.fromarray(pixels)), pixels[..., :3])


def test_alpha_is_that_of_a_formula() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 4), dtype=np.uint8)
    colour, alpha = pixels[..., :3].astype(float), pixels[..., 3:] / 255
    for background, ground in (("white", 255), ("black", 0)):
        found = read(Image.fromarray(pixels), how=Decoding(background))
        np.testing.assert_allclose(found, alpha * colour + (1 - alpha) * ground, atol=1)


def test_grey_of_sixteen_bits_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    ramp = np.array([[0, 65535], [13107, 26214]], np.uint16)
    expected = np.rot90(ramp // 257, -1)
    np.testing.assert_array_equal(read(Image.fromarray(ramp), exif=exif), expected)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([[0.0, 200.0]], np.float32), r"floats go from 0 to 200: scale them to \[0, 1\]"),
        (np.array([[-1, 5]], np.int32), "int32 go from -1 to 5"),
        (
            np.array([[0, 4000]], np.int32),
            "int32 go up to 4000 of 2147483647, so it would be black",
        ),
        (np.array([[0.0, np.nan]], np.float32), "go from nan to nan"),
        (np.array([[0, 255]], np.uint16), "uint16 go up to 255 of 65535, so it would be black"),
        (np.array([[0.0, 0.004]], np.float32), "floats go up to 0.004 of 1, so it would be black"),
    ],
)
def test_values_without_a_range_are_refused(values: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(Image.fromarray(values), "TIFF")


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize(
    "mode", ["RGBA", "LA", "P", "L with tRNS", "RGB with tRNS", "I;16 with tRNS"]
)
def test_what_is_transparent_shows_the_background(mode: str, background: str) -> None:
    """A black icon on a transparent ground, whose hidden colour is red where there are colours."""
    icon = np.zeros((1, 2, 4), np.uint8)
    icon[0, 0] = (0, 0, 0, 255)
    icon[0, 1] = (200, 0, 0, 0)
    options: dict[str, Any] = {}
    if mode == "RGBA":
        picture = Image.fromarray(icon)
    elif mode == "LA":
        picture = Image.fromarray(icon[..., [0, 3]], "LA")
    elif mode == "P":
        picture = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
        picture.putpalette([0, 0, 0, 200, 0, 0])
        options = {"transparency": 1}
    elif mode == "L with tRNS":
        picture, options = Image.fromarray(icon[..., 0]), {"transparency": 200}
    elif mode == "RGB with tRNS":
        picture, options = Image.fromarray(icon[..., :3]), {"transparency": (200, 0, 0)}
    else:
        picture = Image.fromarray(np.array([[0, 40_000]], np.uint16))
        options = {"transparency": 40_000}
    found = read(picture, how=Decoding(background), **options)
    expected = 255 if background == "white" else 0
    assert found.reshape(2, -1)[0].max() == 0
    assert set(found.reshape(2, -1)[1].tolist()) == {expected}


def test_half_transparent_is_half_the_background() -> None:
    picture = Image.fromarray(np.array([[[0, 0, 0, 128]]], np.uint8))
    assert read(picture).flatten().tolist() == pytest.approx([127] * 3, abs=1)


@pytest.mark.parametrize("mode", ["1", "CMYK", "YCbCr", "HSV", "LAB", "P", "La", "RGBa", "PA"])
def test_every_mode_of_pillow_is_decoded(mode: str) -> None:
    grey = Image.fromarray(np.array([[0, 255]], np.uint8))
    picture = grey.convert("RGB")
    if mode in ("La", "RGBa"):
        picture = picture.convert("LA" if mode == "La" else "RGBA")
    if mode == "LAB":
        picture = Image.fromarray(np.array([[[0, 0, 0], [255, 0, 0]]], np.uint8), "LAB")
    elif mode == "PA":
        picture = picture.convert("P").convert("PA")
    else:
        picture = picture.convert(mode)
    greys = Greys(np.dtype(np.uint16), 65535)
    found = np.asarray(_opaque(picture, greys, "white").convert("L"))
    np.testing.assert_allclose(found[0], [0, 255], atol=2)


@pytest.mark.parametrize("format", [*FORMATS, "MPO"])
def test_formats(format: str) -> None:
    if format == "HEIF" or (format in OPTIONAL and not features.check(OPTIONAL[format])):
        pytest.skip(f"this Pillow has no {format}")
    pixels = np.full((16, 16, 3), 200, np.uint8)
    found = read(Image.fromarray(pixels), format)
    np.testing.assert_allclose(found, np.broadcast_to(200, found.shape), atol=6)


def test_the_page_on_data_names_every_format() -> None:
    text = (Path(__file__).parents[3] / "docs/data.md").read_text(encoding="utf-8").lower()
    for name in set(FORMATS) - {"DIB", "HEIF"}:
        assert name.lower().replace("2000", " 2000") in text


def test_every_suffix_is_of_a_format_that_is_read() -> None:
    Image.init()
    formats = {
        Image.registered_extensions()[s] for s in SUFFIXES if s in Image.registered_extensions()
    }
    assert formats <= {*FORMATS, "MPO"}


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_counts(format: str) -> None:
    first, second = (Image.fromarray(np.full((8, 8), v, np.uint8)).convert("RGB") for v in (250, 5))
    found = read(first, format, save_all=True, append_images=[second])
    assert found.min() > 230


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "it is empty"),
        (b"\0\0\0\x18ftypheic....", "it is HEIC.*convert it to JPEG"),
        (b"%PDF-1.4", "it is PDF"),
        (b"  <svg xmlns=", "it is SVG"),
        (b"hello", "none of the formats AVIF, BMP"),
    ],
)
def test_what_is_no_image_is_told_by_name(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decoded(data)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "TGA", "WEBP"])
def test_half_a_file_is_refused(format: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format)
    data = file.getvalue()
    with pytest.raises(UserError):
        decoded(data[: len(data) // 2])


def test_a_format_that_this_pillow_lacks_is_not_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "check", lambda name: name != "avif")
    known_formats.cache_clear()
    try:
        with pytest.raises(UserError, match="none of the formats BMP"):
            read(Image.fromarray(np.zeros((16, 16, 3), np.uint8)), "AVIF")
    finally:
        known_formats.cache_clear()


def test_a_limit_on_pixels_names_itself() -> None:
    with pytest.raises(ValueError, match=r"2 x 3 pixels, more than data\.options\.max_pixels=5"):
        read(Image.fromarray(np.zeros((3, 2), np.uint8)), how=Decoding(max_pixels=5))


def test_booleans_and_bytes() -> None:
    assert eight_bits(np.array([False, True])).tolist() == [0, 255]
    assert eight_bits(np.array([7], np.uint8)).tolist() == [7]
