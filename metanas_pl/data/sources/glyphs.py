"""Glyphs: letters of many scripts, rendered from the DejaVu fonts that matplotlib ships.

A class is a character, its group the script, a sample a rendering in one of the faces under a small
rotation, scale, shear, shift and elastic deformation. Composed characters and look-alikes are dropped.
Scripts are split between train, validation and test, as alphabets are in Omniglot.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from metanas_pl.data.store import ClassImages, ClassStore, build_store

VERSION = 1
N_SAMPLES, SIZE, CANVAS = 20, 28, 64
MIN_FACES = 4
SAME_LETTER = 0.88  # correlation of two normalised letters from which on they count as one
VAL_SCRIPTS = ("GREEK", "ARABIC", "OLD ITALIC", "COPTIC", "LISU")
TEST_SCRIPTS = ("GEORGIAN", "ARMENIAN", "HEBREW", "LAO")

_fonts: dict[str, Any] = {}  # opened once in each process: open fonts must not cross a fork


def glyphs(root: str | None, cache: Path, options: Mapping[str, Any]) -> ClassStore:
    """The glyph store: 28x28, grey, ink = 1, 20 samples a class. It needs no ``root``.

    Raises:
        ValueError: another image size or colour is asked for.
    """
    if options["image_size"] != SIZE or options["channels"] != 1:
        raise ValueError("data.source=glyphs has data.image_size=28 and data.channels=1 only")
    faces = font_files()
    digest = hashlib.sha256(f"{VERSION} {N_SAMPLES}".encode())
    for path in faces:
        digest.update(path.read_bytes())
    meta = {"source": "glyphs", "licence": "DejaVu fonts (Bitstream Vera licence)"}
    return build_store(cache / f"glyphs-{digest.hexdigest()[:12]}", lambda: _render(faces), meta)


def font_files() -> list[Path]:
    """The DejaVu faces among matplotlib's fonts."""
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return sorted(p for p in folder.glob("DejaVu*.ttf") if "Display" not in p.name)


def script(character: str) -> str:
    """Name of a letter's script.

    >>> script("a"), script("ჭ")
    ('LATIN', 'GEORGIAN')
    """
    words = unicodedata.name(character, "UNNAMED").split()
    return " ".join(words[:2]) if words[0] in ("OLD", "CANADIAN") else words[0]


def split_of(script: str) -> str:
    """Scripts never cross splits."""
    return "val" if script in VAL_SCRIPTS else "test" if script in TEST_SCRIPTS else "train"


def characters(faces: list[Path]) -> dict[str, list[Path]]:
    """Letters with at least four faces and no decomposition, each with its faces."""
    from fontTools.ttLib import TTFont

    found: dict[str, list[Path]] = {}
    for face in faces:
        with TTFont(face, lazy=True) as font:
            for code in font.getBestCmap():
                letter = chr(code)
                if unicodedata.category(letter) in ("Lu", "Ll", "Lo"):
                    if not unicodedata.decomposition(letter):
                        found.setdefault(letter, []).append(face)
    return {c: found[c] for c in sorted(found) if len(found[c]) >= MIN_FACES}


def distinct(letters: Mapping[str, list[Path]]) -> list[str]:
    """Drop look-alikes: of letters whose normalised shapes agree, the first stays."""
    kept: list[str] = []
    shapes = np.zeros((len(letters), 24 * 24), np.float32)
    for letter, faces in letters.items():
        shape = _normalised(letter, faces)
        if shape is None:
            continue
        if not kept or (shapes[: len(kept)] @ shape).max() < SAME_LETTER:
            shapes[len(kept)] = shape
            kept.append(letter)
    return kept


def _normalised(letter: str, faces: list[Path]) -> np.ndarray | None:
    """The letter scaled to a square box: unit vector with zero mean, or None if it is blank."""
    from PIL import Image, ImageFilter

    upright = next((f for f in faces if f.name == "DejaVuSans.ttf"), faces[0])
    image = Image.fromarray(_draw(letter, upright))
    box = image.getbbox()
    if box is None:
        return None
    side = max(box[2] - box[0], box[3] - box[1])
    square = Image.new("L", (side, side))
    square.paste(image.crop(box), ((side - box[2] + box[0]) // 2, (side - box[3] + box[1]) // 2))
    small = square.resize((24, 24), Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(1))
    vector = np.asarray(small, np.float32).ravel()
    vector = vector - vector.mean()
    norm = np.linalg.norm(vector)
    return None if norm == 0 else vector / norm


def _draw(letter: str, face: Path) -> np.ndarray:
    """The letter in the middle of a canvas, uint8 ``(64, 64)``."""
    from PIL import Image, ImageDraw, ImageFont

    font = _fonts.setdefault(str(face), None) or ImageFont.truetype(
        str(face), 40, layout_engine=ImageFont.Layout.BASIC
    )
    _fonts[str(face)] = font
    image = Image.new("L", (CANVAS, CANVAS))
    left, top, right, bottom = font.getbbox(letter)
    corner = ((CANVAS - left - right) / 2, (CANVAS - top - bottom) / 2)
    ImageDraw.Draw(image).text(corner, letter, fill=255, font=font)
    return np.asarray(image)


def render(letter: str, faces: list[Path]) -> np.ndarray:
    """All samples of a letter, uint8 ``(20, 1, 28, 28)``: a function of letter and faces alone."""
    rng = np.random.default_rng([VERSION, ord(letter)])
    drawn = [_draw(letter, face) for face in faces]
    samples = [deform(drawn[int(rng.integers(len(drawn)))], rng) for _ in range(N_SAMPLES)]
    return np.stack(samples)[:, None]


def deform(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random affine and elastic deformation of a canvas, sampled at 28x28."""
    angle = np.deg2rad(rng.uniform(-15, 15))
    scale, shear = rng.uniform(0.8, 1.15), rng.uniform(-0.25, 0.25)
    shift = rng.uniform(-4, 4, 2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.linalg.inv(turn @ np.array([[1, shear], [0, 1]]) * scale)
    fine = 2 * SIZE
    axis = (np.arange(fine) + 0.5) * CANVAS / fine - CANVAS / 2
    grid = np.stack(np.meshgrid(axis, axis), -1) - shift
    place = grid @ matrix.T + CANVAS / 2 - 0.5 + _waves(rng, fine)
    sampled = _bilinear(image, place[..., 0], place[..., 1])
    small = sampled.reshape(SIZE, 2, SIZE, 2).mean((1, 3))
    return np.clip(np.rint(small), 0, 255).astype(np.uint8)


def _waves(rng: np.random.Generator, side: int, knots: int = 5, strength: float = 1.6) -> np.ndarray:
    """Smooth random displacements ``(side, side, 2)``, interpolated between a few knots."""
    coarse = rng.normal(0, strength, (knots, knots, 2))
    position = np.linspace(0, knots - 1, side)
    low = np.minimum(position.astype(int), knots - 2)
    part = (position - low)[:, None, None]
    rows = coarse[low] * (1 - part) + coarse[low + 1] * part
    part = part.reshape(1, side, 1)
    return rows[:, low] * (1 - part) + rows[:, low + 1] * part


def _bilinear(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Values of ``image`` at fractional places; zero outside."""
    padded = np.pad(image.astype(np.float64), 1)
    x, y = (np.clip(v + 1, 0, CANVAS + 0.999) for v in (x, y))
    x0, y0 = x.astype(int), y.astype(int)
    fx, fy = x - x0, y - y0
    top = padded[y0, x0] * (1 - fx) + padded[y0, x0 + 1] * fx
    bottom = padded[y0 + 1, x0] * (1 - fx) + padded[y0 + 1, x0 + 1] * fx
    return top * (1 - fy) + bottom * fy


def _render_class(job: tuple[str, list[Path]]) -> ClassImages:
    letter, faces = job
    group = script(letter)
    name = unicodedata.name(letter).lower()
    return ClassImages(name, group.lower(), split_of(group), render(letter, faces))


def _render(faces: list[Path]) -> Iterable[ClassImages]:
    print("rendering glyphs from matplotlib's fonts (once) …", flush=True)
    letters = characters(faces)
    jobs = [(letter, letters[letter]) for letter in distinct(letters)]
    workers = min(os.cpu_count() or 1, 8)
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield from pool.imap(_render_class, jobs, chunksize=32)
