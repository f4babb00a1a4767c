"""Sources: the glyphs, Omniglot in a small made-up archive, and a folder of images."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metanas_pl.data.datasets import DataRequest, glyphs, omniglot, prepare_source
from metanas_pl.data.store.class_store import SPLITS, ClassStore, build_store
from tests.data.conftest import META, toy_classes

OMNIGLOT = Path(
    os.environ.get(
        "METANAS_OMNIGLOT",
        Path(__file__).parents[4] / "shared" / "data" / "omniglot-py.tar.gz",
    )
)


def groups(store: ClassStore, split: str) -> set[str]:
    return {info.group for info in store.classes(split)}


# ---- glyphs


@pytest.fixture(scope="module")
def letters() -> list[glyphs.Letter]:
    return glyphs.find_letters(glyphs.font_files())


def test_letters_are_simple_and_of_known_scripts(letters: list[glyphs.Letter]) -> None:
    characters = {letter.character for letter in letters}
    assert {"A", "Ж", "ა", "א"} <= characters
    assert not {"É", "ﬁ", "3", "⠁", "─", "ʰ"} & characters
    assert all(len(letter.faces) >= glyphs.MIN_FACES for letter in letters)


def test_look_alikes_of_other_scripts_are_dropped(letters: list[glyphs.Letter]) -> None:
    few = [letter for letter in letters if letter.character in "AΑАBΒВHНPРOΟОДΨ"]
    kept = [letter.character for letter in glyphs.drop_look_alikes(few)]
    assert kept == ["A", "B", "H", "O", "P", "Ψ", "Д"]


def test_glyphs_are_the_same_bytes_every_time(letters: list[glyphs.Letter]) -> None:
    for letter in letters[::400]:
        first = glyphs.Renderer(28).samples(letter)
        assert first.shape == (20, 28, 28) and first.dtype == np.uint8
        np.testing.assert_array_equal(first, glyphs.Renderer(28).samples(letter))
        np.testing.assert_array_equal(first[:5], glyphs.Renderer(28).samples(letter, 5))
        assert len({image.tobytes() for image in first}) == 20


def test_glyphs_are_centred_ink_on_an_empty_background(letters: list[glyphs.Letter]) -> None:
    for size in (28, 40):
        renderer = glyphs.Renderer(size)
        for letter in letters[::200]:
            for image in renderer.samples(letter, 6) / 255:
                assert image.max() > 0.5 and 0.02 < image.mean() < 0.5
                rows, columns = np.nonzero(image > 0.5)
                middle = np.array([rows.min() + rows.max(), columns.min() + columns.max()]) / 2
                assert (abs(middle - size / 2) < 0.2 * size).all()


def test_reading_at_the_grid_gives_the_smoothed_outline() -> None:
    """An independent reference of the integer resampling: average of the 4x4 neighbourhood."""
    renderer = glyphs.Renderer(4)
    outline = np.random.default_rng(0).integers(0, 256, (1, 8, 8), dtype=np.uint8)
    found = renderer._read(outline, renderer._grid[None])
    padded = np.pad(outline[0].astype(float), 1)
    weights = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64
    expected = [
        [(padded[2 * i : 2 * i + 4, 2 * j : 2 * j + 4] * weights).sum() for j in range(4)]
        for i in range(4)
    ]
    np.testing.assert_allclose(found[0], expected, atol=0.51)


@pytest.mark.slow
def test_the_glyph_store(tmp_path: Path) -> None:
    store = prepare_source("glyphs", DataRequest(tmp_path))
    assert store.n_classes("train") > 800
    assert store.n_classes("val") > 100 and store.n_classes("test") > 200
    assert groups(store, "val") == {"GREEK", "ARABIC", "OLD ITALIC", "COPTIC", "LISU"}
    assert groups(store, "test") == {"GEORGIAN", "ARMENIAN", "HEBREW", "LAO"}
    assert store.image_shape == (1, 28, 28) and store.mean is None
    assert {info.count for split in SPLITS for info in store.classes(split)} == {20}


def test_a_glyph_store_of_a_few_letters(
    letters: list[glyphs.Letter], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    few = [next(x for x in letters if x.script == s) for s in ("CYRILLIC", "GREEK", "HEBREW")]
    monkeypatch.setattr(glyphs, "find_letters", lambda _: few)
    store = prepare_source("glyphs", DataRequest(tmp_path, image_size=20, channels=3))
    for split, letter in zip(SPLITS, few, strict=True):
        (info,) = store.classes(split)
        assert info.group == letter.script and info.count == glyphs.N_SAMPLES
        assert info.name.startswith(f"U+{ord(letter.character):04X} {letter.script} ")
    images = store.images[-glyphs.N_SAMPLES :]
    assert images.shape == (glyphs.N_SAMPLES, 3, 20, 20) and (images == images[:, :1]).all()


# ---- Omniglot


def drawing(seed: int) -> bytes:
    ink = np.random.default_rng(seed).random((105, 105)) < 0.1
    file = io.BytesIO()
    Image.fromarray(~ink).save(file, "PNG")
    return file.getvalue()


def omniglot_files() -> dict[str, bytes]:
    """Two characters of each of three background and two evaluation alphabets, three times."""
    return {
        f"{part}/Alphabet{a}{part[7]}/character{c:02d}/{a}{c}_{k}.png": drawing(
            100 * a + 10 * c + k
        )
        for part, n in (("images_background", 3), ("images_evaluation", 2))
        for a in range(n)
        for c in (1, 2)
        for k in range(3)
    }


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    with tarfile.open(tmp_path / "omniglot.tar.gz", "w:gz") as tar:
        for name, data in {**omniglot_files(), "README.md": b"hello"}.items():
            member = tarfile.TarInfo(f"omniglot-py/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return tmp_path / "omniglot.tar.gz"


@pytest.mark.filterwarnings("ignore:.*is not the whole data set")
def test_omniglot_from_a_tar_and_from_folders(tmp_path: Path, archive: Path) -> None:
    store = prepare_source("omniglot", DataRequest(tmp_path, archive))
    assert [store.n_classes(split) for split in SPLITS] == [4, 2, 4]
    assert groups(store, "test") == {"Alphabet0e", "Alphabet1e"}
    assert 0 < store.images[0].mean() < 60  # ink is 255 and there is little of it
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path / "unpacked", filter="data")
    for root in (tmp_path / "unpacked", tmp_path / "unpacked" / "omniglot-py"):
        assert prepare_source("omniglot", DataRequest(tmp_path, root)).checksum == store.checksum


@pytest.mark.filterwarnings("ignore:.*is not the whole data set")
def test_omniglot_from_zips(tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    for part in omniglot.PARTS:
        with zipfile.ZipFile(downloads / f"{part}.zip", "w") as zipped:
            for name, data in omniglot_files().items():
                if name.startswith(part):
                    zipped.writestr(name, data)
        digest = hashlib.md5((downloads / f"{part}.zip").read_bytes()).hexdigest()
        monkeypatch.setitem(omniglot.MD5, f"{part}.zip", digest)
    store = prepare_source("omniglot", DataRequest(tmp_path))
    assert store.checksum == prepare_source("omniglot", DataRequest(tmp_path, archive)).checksum


def test_vinyals_split_has_the_published_sizes() -> None:
    characters = [("images_background", "a", str(k)) for k in range(1623)]
    split = omniglot.split_vinyals(characters)
    assert Counter(split.values()) == {"train": 1028, "val": 172, "test": 423}
    assert split == omniglot.split_vinyals(characters)


def test_omniglot_mistakes_are_named(tmp_path: Path, archive: Path) -> None:
    with pytest.raises(ValueError, match=r"data\.options\.split=x.*lake or vinyals"):
        prepare_source("omniglot", DataRequest(tmp_path, archive, options={"split": "x"}))
    with pytest.raises(
        ValueError, match=r"data\.options\.crop=box is no option of omniglot.*split"
    ):
        prepare_source("omniglot", DataRequest(tmp_path, archive, options={"crop": "box"}))
    with pytest.raises(ValueError, match="neither a folder, a zip nor a tar file"):
        prepare_source("omniglot", DataRequest(tmp_path, tmp_path / "absent"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no Omniglot images"):
        prepare_source("omniglot", DataRequest(tmp_path, tmp_path / "empty"))
    with pytest.warns(UserWarning, match="not the whole data set"):
        prepare_source("omniglot", DataRequest(tmp_path, archive))


@pytest.mark.slow
@pytest.mark.skipif(not OMNIGLOT.is_file(), reason="set METANAS_OMNIGLOT to omniglot-py.tar.gz")
def test_the_real_omniglot(tmp_path: Path) -> None:
    store = prepare_source("omniglot", DataRequest(tmp_path, OMNIGLOT))
    assert [store.n_classes(split) for split in SPLITS] == [825, 139, 659]
    assert [len(groups(store, split)) for split in SPLITS] == [25, 5, 20]
    assert len(store.images) == 32460


# ---- a folder (see test_folder.py)


def write_images(root: Path, names: list[str], n: int = 4) -> Path:
    for seed, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for k in range(n):
            pixels = np.random.default_rng([seed, k]).integers(0, 256, (12, 20, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{k}.{'png' if k % 2 else 'bmp'}")
    return root


# ---- the registry


def own_source(request: DataRequest) -> ClassStore:
    return build_store(request.cache_dir / "own", toy_classes(), META)


def test_a_dotted_path_is_a_source(tmp_path: Path) -> None:
    store = prepare_source(f"{__name__}.own_source", DataRequest(tmp_path))
    assert store.meta.name == "toy"


@pytest.mark.parametrize("name", ["mnist", "no.such.module", "metanas_pl.data.no_function"])
def test_an_unknown_source_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="choose one of attributes, cifar_fs, .*, folder, glyphs"):
        prepare_source(name, DataRequest(tmp_path))
