"""Glyphs: letters of many writing systems, rendered from the DejaVu fonts that matplotlib ships.

The default data set: no download, a few seconds to build. A class is a character, its group is
its writing system, and a sample is a rendering in one of the fonts' faces under a small rotation, scale,
shear, shift and elastic deformation. Scripts are split between training, validation and test, as
alphabets are in Omniglot. The random numbers are exact and the resampling is done in integers, so
the bytes depend only on the fonts, Pillow's FreeType and :data:`RECIPE`.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from metanas_pl.data.datasets import DataRequest, SourceInfo
from metanas_pl.data.store.class_store import ClassImages, ClassStore, StoreMeta, build_store
from metanas_pl.utils.progress import track

INFO = SourceInfo(
    summary="letters of twelve writing systems, rendered from the fonts of matplotlib",
    licence="Bitstream Vera and Arev licences; DejaVu changes are public domain",
)

RECIPE = 1
"""Version of everything that decides the bytes; raise it with any change below."""

N_SAMPLES = 20
MIN_FACES = 4
LOOK_ALIKE = 0.95
"""Two characters whose normalised renders correlate more than this are one class."""

SPLIT_OF_SCRIPT = {
    **dict.fromkeys(("GREEK", "ARABIC", "OLD ITALIC", "COPTIC", "LISU"), "val"),
    **dict.fromkeys(("GEORGIAN", "ARMENIAN", "HEBREW", "LAO"), "test"),
    **dict.fromkeys(("LATIN", "CYRILLIC", "CANADIAN SYLLABICS"), "train"),
}

MAX_ROTATION = np.deg2rad(15)
SCALES = (0.8, 1.15)
MAX_SHEAR = 0.25
MAX_SHIFT = 2.5 / 28  # of the image's side, as are the next two
MAX_ELASTIC = 1.5 / 28
GLYPH_SIDE = 18 / 28


class Letter(NamedTuple):
    """A character and the font files that draw it."""

    character: str
    script: str
    faces: tuple[Path, ...]


def font_files() -> list[Path]:
    """Returns the DejaVu fonts in matplotlib's data folder."""
    import matplotlib

    return sorted(Path(matplotlib.get_data_path(), "fonts", "ttf").glob("DejaVu*.ttf"))


def prepare(request: DataRequest) -> ClassStore:
    """Renders the glyphs into a store below ``request.cache_dir``, or opens the one that is there."""
    fonts = font_files()
    digest = hashlib.sha256(b"".join(font.read_bytes() for font in fonts))
    size, channels = request.image_size, request.channels
    key = f"glyphs-v{RECIPE}-{digest.hexdigest()[:8]}-{size}x{size}x{channels}"
    meta = StoreMeta(
        name="glyphs",
        source="DejaVu fonts shipped with matplotlib",
        licence=INFO.licence,
        ink_is_one=True,
        notes={"recipe": RECIPE, "fonts_sha256": digest.hexdigest()},
    )
    return build_store(request.cache_dir / key, _classes(fonts, size, channels), meta)


def _classes(fonts: list[Path], size: int, channels: int) -> Iterator[ClassImages]:
    letters = drop_look_alikes(find_letters(fonts))
    renderer = Renderer(size)
    for letter in track(letters, "Rendering glyphs (once)"):
        images = np.repeat(renderer.samples(letter)[:, None], channels, axis=1)
        name = f"U+{ord(letter.character):04X} {unicodedata.name(letter.character)}"
        yield ClassImages(name, letter.script, SPLIT_OF_SCRIPT[letter.script], images)


def find_letters(fonts: list[Path]) -> list[Letter]:
    """Returns letters of known writing systems, not composed of others, in ``MIN_FACES`` faces or more."""
    from matplotlib.ft2font import FT2Font

    faces: dict[int, list[Path]] = {}
    for font in fonts:
        for codepoint in FT2Font(str(font)).get_charmap():
            faces.setdefault(codepoint, []).append(font)
    letters = []
    for codepoint, files in sorted(faces.items()):
        character = chr(codepoint)
        script = script_of(character)
        if script and len(files) >= MIN_FACES and not unicodedata.decomposition(character):
            letters.append(Letter(character, script, tuple(files)))
    return letters


def script_of(character: str) -> str | None:
    """Returns the writing system of a letter by its Unicode name; None if it is not a known one.

    >>> script_of("Ж"), script_of("ᐃ"), script_of("3")
    ('CYRILLIC', 'CANADIAN SYLLABICS', None)
    """
    if not unicodedata.category(character).startswith("L"):
        return None
    name = unicodedata.name(character, "")
    return next((script for script in SPLIT_OF_SCRIPT if name.startswith(f"{script} ")), None)


def drop_look_alikes(letters: list[Letter], threshold: float = LOOK_ALIKE) -> list[Letter]:
    """Keeps the first of every set of characters that look the same, such as Latin and Greek A.

    Characters are compared in every face that both have, centred and scaled to the same side. Of
    two that look alike the one with the lower code point stays; no such pair is left over, which
    might be split between training and test.
    """
    renderer = Renderer(28)
    fonts = sorted({face for letter in letters for face in letter.faces})
    kept = np.ones(len(letters), dtype=bool)
    for font in fonts:
        members = [i for i, letter in enumerate(letters) if kept[i] and font in letter.faces]
        renders = [renderer.outline(letters[i].character, font).ravel() for i in members]
        vectors = np.array(renders, dtype=np.float64)
        vectors -= vectors.mean(axis=1, keepdims=True)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        alike = vectors @ vectors.T > threshold
        for column, i in enumerate(members):
            kept[i] = not (alike[column, :column] & kept[members[:column]]).any()
    return [letter for letter, keep in zip(letters, kept, strict=True) if keep]


class Renderer:
    """Draws samples of letters at ``size`` x ``size`` pixels, ink 255 on 0.

    Glyphs are drawn at twice the size, smoothed, and read at the displaced pixel positions.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.canvas = 2 * size
        self._fonts: dict[tuple[Path, int], object] = {}
        axis = (np.arange(size) + 0.5) / size - 0.5
        self._grid = np.stack(np.meshgrid(axis, axis, indexing="ij"))
        knots = np.linspace(-0.5, 0.5, 4)
        bumps = np.exp(-((axis[:, None] - knots) ** 2) / (2 * 0.2**2))
        self._bumps = bumps / bumps.sum(axis=1, keepdims=True)

    def glyph(self, character: str, font: Path, points: int = 64) -> np.ndarray:
        """Returns the bare character, cropped to its ink: uint8 of any shape."""
        from PIL import Image, ImageDraw, ImageFont

        key = (font, points)
        if key not in self._fonts:
            basic = ImageFont.Layout.BASIC
            self._fonts[key] = ImageFont.truetype(str(font), points, layout_engine=basic)
        image = Image.new("L", (4 * points, 4 * points))
        draw = ImageDraw.Draw(image)
        draw.text((points, points), character, fill=255, font=self._fonts[key])  # type: ignore
        return np.asarray(image.crop(image.getbbox()))

    def outline(self, character: str, font: Path) -> np.ndarray:
        """Returns the character, its longer side scaled to a fixed length, centred on the canvas."""
        from PIL import Image

        ink = Image.fromarray(self.glyph(character, font))
        factor = GLYPH_SIDE * self.canvas / max(ink.size)
        width, height = (max(1, round(factor * side)) for side in ink.size)
        sheet = Image.new("L", (self.canvas, self.canvas))
        corner = ((self.canvas - width) // 2, (self.canvas - height) // 2)
        sheet.paste(ink.resize((width, height), Image.Resampling.BILINEAR), corner)
        return np.asarray(sheet)

    def samples(self, letter: Letter, n: int = N_SAMPLES) -> np.ndarray:
        """``n`` samples ``(n, size, size)`` uint8; sample s is the same for every ``n > s``."""
        rng = np.random.Generator(np.random.Philox([RECIPE, ord(letter.character)]))
        first_face = int(rng.integers(len(letter.faces)))
        numbers = rng.uniform(-1, 1, (n, 37))
        outlines = [self.outline(letter.character, face) for face in letter.faces]
        chosen = (first_face + np.arange(n)) % len(outlines)
        return self._read(np.stack(outlines)[chosen], self._positions(numbers))

    def _positions(self, numbers: np.ndarray) -> np.ndarray:
        """Returns where each output pixel looks: ``(n, 2, size, size)`` in units of the image's side."""
        rotation, scale, shear = numbers[:, :3].T
        angle = MAX_ROTATION * rotation
        low, high = SCALES
        cos, sin = np.cos(angle), np.sin(angle)
        turn = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)
        slant = np.broadcast_to(np.eye(2), turn.shape).copy()
        slant[:, 1, 0] = MAX_SHEAR * shear
        matrix = slant @ turn / (low + (high - low) * (scale + 1) / 2)[:, None, None]
        shift = MAX_SHIFT * numbers[:, 3:5, None, None]
        moved = np.einsum("nij,njyx->niyx", matrix, self._grid - shift)
        knots = MAX_ELASTIC * numbers[:, 5:].reshape(-1, 2, 4, 4)
        return moved + self._bumps @ knots @ self._bumps.T

    def _read(self, outlines: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Bilinear look-up in 1/256 pixel, in integers; outside the canvas there is no ink."""
        padded = np.pad(outlines.astype(np.int32), ((0, 0), (2, 2), (2, 2)))
        for axis in (1, 2):  # the weights 1 2 1, which sum to 4, along each axis
            padded = np.roll(padded, 1, axis) + 2 * padded + np.roll(padded, -1, axis)
        limit = self.canvas + 2
        fixed = np.rint((positions + 0.5) * self.canvas * 256).astype(np.int64) + 256 + 128
        (y, x), (fy, fx) = np.moveaxis(fixed >> 8, 1, 0), np.moveaxis(fixed & 255, 1, 0)
        y, x = y.clip(0, limit), x.clip(0, limit)
        n = np.arange(len(outlines))[:, None, None]
        upper = padded[n, y, x] * (256 - fx) + padded[n, y, x + 1] * fx
        lower = padded[n, y + 1, x] * (256 - fx) + padded[n, y + 1, x + 1] * fx
        total = upper * (256 - fy) + lower * fy
        return ((total + (1 << 19)) >> 20).clip(0, 255).astype(np.uint8)
