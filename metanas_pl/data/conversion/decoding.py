"""From the bytes of an image file to 8-bit pixels; nothing is clipped and nothing is dropped in silence."""

from __future__ import annotations

import io
import threading
import warnings
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from metanas_pl.errors import UserError

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = frozenset(
    ".apng .avif .avifs .bmp .bw .dib .gif .icb .ico .j2c .j2k .jfif .jp2 .jpc .jpe .jpeg .jpf .jpg .jpx "
    ".mpo .pbm .pcx .pfm .pgm .png .pnm .ppm .qoi .rgb .rgba .sgi .tga .tif .tiff .vda .vst .webp".split()
)
FORMATS = (
    *("AVIF", "BMP", "DIB", "GIF", "ICO", "JPEG", "JPEG2000", "PCX", "PNG", "PPM"),
    *("QOI", "SGI", "TGA", "TIFF", "WEBP", "HEIF"),
)
"""Formats that are read where Pillow can; HEIF if a plugin of it was registered.

Pillow knows more, for some of which it starts other programs.
"""
OPTIONAL = {"AVIF": "avif", "JPEG2000": "jpg_2000", "WEBP": "webp"}
"""Formats that a Pillow may be built without, and its names of these features."""
FOREIGN = {
    b"%!PS": "PostScript",
    b"%PDF": "PDF",
    b"8BPS": "Photoshop",
    b"<svg": "SVG",
    b"<?xml": "SVG or XML",
    b"PK\x03\x04": "zip",
}
"""How files begin that are often taken for images, and what they are."""
HEIC = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
MAX_PIXELS = 1 << 26
"""Of an image: 67 million, more than a camera makes."""
PILLOWS_LIMIT = 178_956_970
"""Pixels beyond which Pillow itself decodes no image."""
BACKGROUNDS = ("white", "black")
DECODING = 2
"""Version of the rules below: a store that was built by others is built anew."""


class Decoding(NamedTuple):
    """How images are decoded.

    Attributes:
        background: colour behind transparent pixels, ``white`` or ``black``.
        max_pixels: most pixels of an image.
    """

    background: str = "white"
    max_pixels: int = MAX_PIXELS


class Greys(NamedTuple):
    """What the grey values of a file mean if they are not of 8 bits.

    Attributes:
        dtype: their type in the file, where Pillow may have widened it.
        limit: the value that is white, and above which none may lie.
        is_negative: white is 0 instead.
    """

    dtype: np.dtype
    limit: int
    is_negative: bool = False


_opening = threading.Lock()


def decoded(data: bytes, how: Decoding = Decoding()) -> Image.Image:  # noqa: B008
    """Returns the picture in an image file, upright and opaque, a ``PIL.Image`` of mode L or RGB.

    Grey of other than 8 bits is scaled by the range of its type, and floats from [0, 1]; of an animation it
    is the first frame.

    Raises:
        UserError: it is in none of ``FORMATS``, is damaged, has too many pixels, or values without a range.
    """
    from PIL import ImageOps

    try:
        picture = _opened(data)
        if picture.width * picture.height > how.max_pixels:
            raise UserError(
                f"it has {picture.width} x {picture.height} pixels, more than "
                f"data.options.max_pixels={how.max_pixels}"
            )
        greys = _greys(picture)
        return _opaque(ImageOps.exif_transpose(picture), greys, how.background)
    except UserError:
        raise
    except Exception as error:  # Pillow answers damaged files with any of Python's
        raise UserError(_reason(data, error)) from error


def _opened(data: bytes) -> Image.Image:
    """Returns a ``PIL.Image`` whose pixels are not read yet."""
    from PIL import Image

    with _opening, warnings.catch_warnings():  # whose filters all threads share
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # max_pixels says more
        picture = Image.open(io.BytesIO(data), formats=known_formats())
    if picture.format == "PNG" and "transparency" in picture.info:
        depth, key = data[24], picture.info["transparency"]
        if picture.mode == "RGB" and depth == 16:  # of which Pillow keeps the upper byte
            picture.info["transparency"] = tuple(value >> 8 for value in key)
        elif picture.mode == "L" and depth < 8:  # which Pillow has scaled, but not the key
            picture.info["transparency"] = key * 255 // (2**depth - 1)
    return picture


@cache
def known_formats() -> list[str]:
    """Returns those of ``FORMATS`` that the installed Pillow can read."""
    from PIL import Image, features

    Image.init()
    known = [name for name in FORMATS if name in Image.OPEN]
    return [name for name in known if name not in OPTIONAL or features.check(OPTIONAL[name])]


def _reason(data: bytes, error: Exception) -> str:
    """Returns why there is no image in ``data``."""
    if not data:
        return "it is empty"
    if data[4:8] == b"ftyp" and data[8:12] in HEIC:
        return "it is HEIC, which Pillow does not read: convert it to JPEG"
    for begin, name in FOREIGN.items():
        if data.lstrip()[: len(begin)].lower() == begin.lower():
            return f"it is {name}, not an image of pixels"
    if type(error).__name__ == "UnidentifiedImageError":
        return f"none of the formats {', '.join(known_formats())}"
    if type(error).__name__ == "DecompressionBombError":
        return f"it has more than {PILLOWS_LIMIT:,} pixels, which Pillow does not decode"
    return f"{type(error).__name__}: {error}"


def _greys(picture: Image.Image) -> Greys:
    """Returns the meaning of grey values, by the file: Pillow reads 12, 16 and 32 bits alike."""
    tags = getattr(picture, "tag_v2", {})  # of a TIFF; other formats have no more than 16 bits
    bits, is_signed = tags.get(258, (16,))[0], tags.get(339, (1,))[0] == 2
    n_bytes = 1 if bits <= 8 else 2 if bits <= 16 else 4
    dtype, limit = f"{'i' if is_signed else 'u'}{n_bytes}", 2 ** (bits - is_signed) - 1
    if picture.mode == "F":
        dtype, limit = "f4", 1
    return Greys(np.dtype(dtype), limit, tags.get(262) == 0)


def _opaque(picture: Image.Image, greys: Greys, background: str) -> Image.Image:
    """Returns the picture in mode L or RGB, what is transparent in the colour of the background.

    Args:
        picture: a ``PIL.Image`` of any mode.
        greys: what its values mean if they are grey of other than 8 bits.
        background: of ``BACKGROUNDS``.
    """
    from PIL import Image

    if picture.mode[0] in "IF" or (picture.mode == "L" and greys.dtype.kind == "i"):
        found = np.asarray(picture)
        grey = eight_bits(found.astype(greys.dtype), greys.limit)
        grey = 255 - grey if greys.is_negative else grey
        if isinstance(key := picture.info.get("transparency"), int):
            grey = np.where(found == key, np.uint8(255 * (background == "white")), grey)
        return Image.fromarray(grey)
    is_grey = picture.mode in ("1", "L", "LA", "La")
    if not picture.has_transparency_data:
        return picture.convert("L" if is_grey else "RGB")
    picture = picture.convert("LA") if picture.mode == "La" else picture
    image = picture.convert("RGBA")
    flat = Image.alpha_composite(Image.new("RGBA", image.size, background), image)
    return flat.convert("RGB").convert("L" if is_grey else "RGB")


def eight_bits(values: np.ndarray, limit: int | None = None) -> np.ndarray:
    """Returns values as uint8: integers and booleans by the range of their type, floats from [0, 1].

    Args:
        values: of any shape.
        limit: what becomes 255; None is the largest value of the type, of floats 1.

    Raises:
        UserError: see :func:`check_range`.

    >>> eight_bits(np.array([0, 32768, 65535], np.uint16)), eight_bits(np.array([0.0, 1.0]))
    (array([  0, 128, 255], dtype=uint8), array([  0, 255], dtype=uint8))
    """
    check_range(values, limit)
    return scaled(values, limit)


def check_range(values: np.ndarray, limit: int | None = None) -> None:
    """Refuses values that :func:`scaled` would clip, or make black although there is something in them.

    Raises:
        UserError: they are no numbers, not finite, outside of 0 and ``limit``, or all below 1 % of it.
    """
    if values.dtype.kind not in "biuf":
        raise UserError(f"its values are {values.dtype}, not numbers")
    limit = limit or _limit(values.dtype)
    least, most = (values.min(), values.max()) if values.size else (0, 0)
    name = "floats" if values.dtype.kind == "f" else str(values.dtype)
    if not 0 <= least <= most <= limit:
        raise UserError(f"its {name} go from {least:g} to {most:g}: scale them to [0, {limit}]")
    if 0 < most and round(255 * float(most) / limit) <= 1:
        raise UserError(
            f"its {name} go up to {most:g} of {limit}, so it would be black: scale them to their "
            "range, or store them as uint8"
        )


def scaled(values: np.ndarray, limit: int | None = None) -> np.ndarray:
    """Returns values from 0 to ``limit`` as uint8, rounded to the nearest; uint8 as it is."""
    if values.dtype == np.uint8:
        return values
    factor = np.float32(255 / (limit or _limit(values.dtype)))
    return np.rint(values.astype(np.float32) * factor).astype(np.uint8)


def _limit(dtype: np.dtype) -> int:
    return int(np.iinfo(dtype).max) if dtype.kind in "iu" else 1
