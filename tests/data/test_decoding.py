"""Values of all kinds of image files, against what the encoder was given."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from metanas_pl.data.sources.decoding import BACKGROUNDS, Decoding, decoded, eight_bits

RAMP = np.linspace(0, 1, 6)
GREYS = np.array([0, 51, 102, 153, 204, 255])


def read(picture: Any, format: str = "PNG", how: Decoding = Decoding(), **options: Any) -> Any:  # noqa: B008
    file = io.BytesIO()
    picture.save(file, format, **options)
    with decoded(file.getvalue(), how) as found:
        return np.asarray(found)


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
    with decoded(header + np.array([0, 32768, 65535], ">u2").tobytes()) as found:
        np.testing.assert_array_equal(np.asarray(found)[0], [0, 128, 255])


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
    from metanas_pl.data.sources.decoding import _opaque

    found = np.asarray(_opaque(picture, np.dtype(np.uint16), "white").convert("L"))
    np.testing.assert_allclose(found[0], [0, 255], atol=2)


@pytest.mark.parametrize(
    "format", ["AVIF", "BMP", "DIB", "GIF", "ICO", "JPEG", "JPEG2000", "PCX", "PPM"]
)
def test_formats(format: str) -> None:
    from PIL import features

    if format == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    pixels = np.full((16, 16, 3), 200, np.uint8)
    found = read(Image.fromarray(pixels), format)
    np.testing.assert_allclose(found, np.broadcast_to(200, found.shape), atol=6)


@pytest.mark.parametrize("format", ["QOI", "SGI", "TGA", "TIFF", "WEBP"])
def test_more_formats(format: str) -> None:
    test_formats(format)


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
    with pytest.raises(ValueError, match=message), decoded(data):
        pass


def test_a_limit_on_pixels_names_itself() -> None:
    with pytest.raises(ValueError, match=r"2 x 3 pixels, more than data\.options\.max_pixels=5"):
        read(Image.fromarray(np.zeros((3, 2), np.uint8)), how=Decoding(max_pixels=5))


def test_booleans_and_bytes() -> None:
    assert eight_bits(np.array([False, True])).tolist() == [0, 255]
    assert eight_bits(np.array([7], np.uint8)).tolist() == [7]
