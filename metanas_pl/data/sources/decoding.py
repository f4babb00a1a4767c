"""From the bytes of an image file to 8-bit pixels; nothing is clipped and nothing is dropped in silence."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from metanas_pl.errors import UserError

SUFFIXES = frozenset(
    ".avif .bmp .dib .gif .ico .j2k .jfif .jp2 .jpe .jpeg .jpg .mpo .pbm .pcx .pgm .png .pnm .ppm .qoi "
    ".sgi .tga .tif .tiff .webp".split()
)
FORMATS = (
    *("AVIF", "BMP", "DIB", "GIF", "ICO", "JPEG", "JPEG2000", "PCX", "PNG", "PPM"),
    *("QOI", "SGI", "TGA", "TIFF", "WEBP"),
)
"""Formats that are read; Pillow knows more, for some of which it starts other programs."""
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
TRANSPARENT = ("LA", "La", "PA", "RGBA", "RGBa")
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


@contextmanager
def decoded(data: bytes, how: Decoding = Decoding()) -> Iterator[Any]:  # noqa: B008
    """The picture in an image file, upright and opaque, a ``PIL.Image`` of mode L or RGB.

    Grey of 16 or 32 bits is scaled by the range of its type, and floats from [0, 1]; of an animation it is
    the first frame.

    Raises:
        UserError: it is in none of ``FORMATS``, is damaged, has too many pixels, or values without a range.
    """
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            # max_pixels is stricter
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(data), formats=known_formats())
        with picture:
            if picture.width * picture.height > how.max_pixels:
                raise UserError(
                    f"it has {picture.width} x {picture.height} pixels, more than "
                    f"data.options.max_pixels={how.max_pixels}"
                )
            wide = _type_of_file(picture)
            yield _opaque(ImageOps.exif_transpose(picture), wide, how.background)
    except UserError:
        raise
    except Exception as error:  # Pillow answers damaged files with any of Python's
        raise UserError(_reason(data, error)) from error


def known_formats() -> list[str]:
    """Those of ``FORMATS`` that the installed Pillow can read."""
    from PIL import Image

    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _reason(data: bytes, error: Exception) -> str:
    """Why there is no image in ``data``."""
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


def _type_of_file(picture: Any) -> np.dtype:
    """The type of the grey values in the file of a picture: Pillow reads integers of 16 bits as 32."""
    if picture.mode == "F":
        return np.dtype(np.float32)
    tags = getattr(picture, "tag_v2", {})  # of a TIFF: bits, and whether there is a sign
    bits = tags.get(258, (32,))[0] if tags and picture.mode == "I" else 16
    return np.dtype(f"{'i' if tags and tags.get(339, (1,))[0] == 2 else 'u'}{bits // 8}")


def _opaque(picture: Any, wide: np.dtype, background: str) -> Any:
    """The picture in mode L or RGB, what is transparent in the colour of the background.

    Args:
        picture: a ``PIL.Image`` of any mode.
        wide: type of its values if they are grey of more than 8 bits.
        background: of ``BACKGROUNDS``.
    """
    from PIL import Image

    if picture.mode == "F" or picture.mode.startswith("I"):
        grey = eight_bits(np.asarray(picture).astype(wide))
        key = picture.info.get("transparency")
        if isinstance(key, int):
            grey = np.where(np.asarray(picture) == key, 255 * (background == "white"), grey)
        return Image.fromarray(grey.astype(np.uint8))
    is_grey = picture.mode in ("1", "L", "LA", "La")
    if "transparency" not in picture.info and picture.mode not in TRANSPARENT:
        return picture.convert("L" if is_grey else "RGB")
    picture = picture.convert("LA") if picture.mode == "La" else picture
    image = picture.convert("RGBA")
    flat = Image.alpha_composite(Image.new("RGBA", image.size, background), image)
    return flat.convert("RGB").convert("L" if is_grey else "RGB")


def eight_bits(values: np.ndarray) -> np.ndarray:
    """Values of any type as uint8: integers and booleans by the range of their type, floats from [0, 1].

    Raises:
        UserError: the values lie outside, are not finite, or would all become black.

    >>> eight_bits(np.array([0, 32768, 65535], np.uint16)), eight_bits(np.array([0.0, 1.0]))
    (array([  0, 128, 255], dtype=uint8), array([  0, 255], dtype=uint8))
    """
    if values.dtype == np.uint8:
        return values
    least, most = (values.min(), values.max()) if values.size else (0, 0)
    if values.dtype.kind not in "biuf":
        raise UserError(f"its values are {values.dtype}, not numbers")
    limit = np.iinfo(values.dtype).max if values.dtype.kind in "iu" else 1
    name = "floats" if values.dtype.kind == "f" else str(values.dtype)
    if not 0 <= least <= most <= limit:
        raise UserError(f"its {name} go from {least:g} to {most:g}: scale them to [0, {limit}]")
    scaled = np.rint(values.astype(np.float64) * (255 / limit)).astype(np.uint8)
    if most > 0 and not scaled.any():
        raise UserError(
            f"its {name} go up to {most:g} of {limit}, so it would be black: scale them to their range"
        )
    return scaled
