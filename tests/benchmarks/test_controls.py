"""Controls are fair: random genotypes are random, and differences are paired over the same episodes."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from benchmarks import controls
from metanas_pl import Genotype
from metanas_pl.cli import train
from metanas_pl.config import CellSpaceConfig
from metanas_pl.engine.metrics import mean_interval95
from tests import runs

SPACE = CellSpaceConfig(n_nodes=3, primitives=["conv_3x3", "skip_connect", "max_pool_3x3"])
NETWORKS = {
    "random genotype 0, as in the supernet": "random_0",
    "random genotype 0, affine batch norms": "random_0_affine",
    "Conv4-32": "conv4",
}


@pytest.fixture(scope="module")
def finished(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run, with images large enough for Conv4."""
    folder = tmp_path_factory.mktemp("controls")
    train.run(runs.compose([*runs.tiny(images, folder / "run"), "data.image_size=16"]))
    return folder / "run"


def column(folder: Path, name: str = "accuracy") -> np.ndarray:
    rows = runs.read_rows(folder / "episodes_test.csv")
    return np.array([float(row[name]) for row in rows])


# -- random genotypes -------------------------------------------------------------------------


def test_random_genotypes_belong_to_the_space(tmp_path: Path) -> None:
    for seed in range(20):
        genotype = controls.random_genotype(SPACE, seed)
        for cell in (genotype.normal, genotype.reduce):
            assert len(cell) == SPACE.n_nodes
            for i, node in enumerate(cell):
                inputs = [k for _, k in node]
                assert len(set(inputs)) == 2 and set(inputs) <= set(range(i + 2))
                assert {name for name, _ in node} <= set(SPACE.primitives)
        genotype.save(tmp_path / "genotype.json")
        assert Genotype.load(str(tmp_path / "genotype.json")) == genotype


def test_random_genotypes_differ_and_come_again() -> None:
    drawn, again = ([controls.random_genotype(SPACE, seed) for seed in range(20)] for _ in "ab")
    assert drawn == again
    assert len({str(genotype) for genotype in drawn}) == 20
    assert all(genotype.normal != genotype.reduce for genotype in drawn)


@pytest.mark.parametrize("cell", ["normal", "reduce"])
def test_random_genotypes_are_uniform(cell: str) -> None:
    """Every count lies within 5 standard deviations of the binomial that it should follow."""
    n = 400
    cells = [controls.random_genotype(SPACE, seed).cell(cell)[0] for seed in range(n)]
    for i in range(SPACE.n_nodes):
        pairs = Counter(tuple(k for _, k in nodes[i]) for nodes in cells)
        names = Counter(name for nodes in cells for name, _ in nodes[i])
        for counts, choices in ((pairs, combinations(range(i + 2), 2)), (names, SPACE.primitives)):
            outcomes, total = list(choices), sum(counts.values())
            p = 1 / len(outcomes)
            assert set(counts) == set(outcomes)
            found = np.array(list(counts.values()))
            assert (abs(found - total * p) <= 5 * (total * p * (1 - p)) ** 0.5).all()


# -- the program ------------------------------------------------------------------------------


@pytest.mark.slow
def test_configuration_of_a_run_is_read_back(finished: Path) -> None:
    stored = yaml.safe_load((finished / "config.yaml").read_text())
    config = controls.typed(finished)
    assert asdict(config) == stored
    assert config.meta.inner.steps == 2, "nested groups are dataclasses again"


def test_only_paths_of_the_run_are_moved() -> None:
    values = {"best": {"dirpath": "/a/run/checkpoints", "top": 1}, "x": "/a/run", "y": "/a/run2"}
    assert controls.moved(values, "/a/run", "/b") == {
        "best": {"dirpath": "/b/checkpoints", "top": 1},
        "x": "/b",
        "y": "/a/run2",
    }


@pytest.mark.slow
def test_controls_of_a_run(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ours() -> dict[Path, bytes]:
        return {
            p: p.read_bytes()
            for p in finished.rglob("*.*")
            if "controls" not in str(p.relative_to(finished))
        }

    def table() -> dict[str, list[str]]:
        """Network -> the numbers that are printed in its row."""
        controls.main([str(finished), "--genotypes", "1"])
        printed = capsys.readouterr().out.rpartition("trained for")[2]
        lines = [line.split("│") for line in printed.splitlines() if "±" in line]
        return {
            cells[1].strip(): re.findall(r"[-+]?\d+\.\d+", "".join(cells[2:])) for cells in lines
        }

    monkeypatch.setenv("COLUMNS", "120")
    before, first = ours(), table()
    assert ours() == before, "the run itself is only read"
    written = json.loads((finished / "controls.json").read_text())["networks"]
    assert set(first) == set(written) == {"this run", "pixel neighbour", *NETWORKS}
    for name, place in NETWORKS.items():
        folder = finished / "controls" / place
        assert (folder / "checkpoints" / "best.ckpt").is_file()
        np.testing.assert_array_equal(column(folder, "pixel_nn"), column(finished, "pixel_nn"))
        expected = []
        for values in (column(folder), column(finished) - column(folder)):
            interval = mean_interval95(torch.from_numpy(values))[1]
            expected += [values.mean(), interval]
        assert list(written[name].values()) == pytest.approx(expected)
        assert [float(x) / 100 for x in first[name]] == pytest.approx(expected, abs=6e-5)

    supernet, as_in_it, affine = (
        {k for k in runs.load(folder / "checkpoints" / "best.ckpt")["state_dict"] if "norm." in k}
        for folder in (finished, *(finished / "controls" / p for p in list(NETWORKS.values())[:2]))
    )
    assert as_in_it == supernet < affine, "norms with scales and shifts"

    def trained_again(config: Any) -> None:
        pytest.fail(f"{config.run_dir} is trained again")

    monkeypatch.setattr(controls, "run", trained_again)
    assert table() == first


def test_a_folder_without_a_run_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        controls.main([str(tmp_path)])
    assert stopped.value.code == 2
    assert f"{tmp_path} is no folder of a finished run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new"), [("search: true", "search: false"), ("builders.cells", "builders.conv4")]
)
def test_a_run_without_a_search_in_cells_is_refused(
    old: str, new: str, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in controls.FILES_OF_A_RUN:
        (tmp_path / name).write_text((finished / name).read_text())
    text = (tmp_path / "config.yaml").read_text()
    (tmp_path / "config.yaml").write_text(text.replace(old, new))
    with pytest.raises(SystemExit) as stopped:
        controls.main([str(tmp_path)])
    assert stopped.value.code == 2
    assert "did not search" in capsys.readouterr().err
