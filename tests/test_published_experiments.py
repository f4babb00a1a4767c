"""The experiments: each composes to a configuration that makes sense; one is run in colour at 84x84."""

from __future__ import annotations

from pathlib import Path

import pytest

from metanas_pl.cli import app, train
from metanas_pl.data.datasets import SOURCES
from tests import runs
from tests.data import published_archives as made

EXPERIMENTS = Path(app.CONFIG_DIR, "experiment")
COMPACT = ("miniimagenet", "tieredimagenet", "cifar_fs", "fc100", "cub")


@pytest.mark.parametrize("name", sorted(path.stem for path in EXPERIMENTS.glob("*.yaml")))
def test_every_experiment_has_a_source_an_end_and_its_own_name(name: str) -> None:
    chosen = runs.compose([f"experiment={name}", "run_dir=."])
    assert chosen.experiment == name
    config = app.to_config(chosen)
    assert config.data.source in SOURCES
    assert config.trainer["max_steps"] > 0


@pytest.mark.parametrize("source", COMPACT)
@pytest.mark.parametrize("n_shots", [1, 5])
def test_compact_experiments(source: str, n_shots: int) -> None:
    data = runs.compose([f"experiment={source}_5way_{n_shots}shot"]).data
    side = 32 if source in ("cifar_fs", "fc100") else 84
    assert (data.source, data.n_ways, data.n_shots) == (source, 5, n_shots)
    assert (data.image_size, data.channels) == (side, 3)


def small(source: str, root: Path, tmp_path: Path, *more: str) -> list[str]:
    """The compact experiment with the few images of ``root`` and 2 outer steps."""
    tiny = runs.tiny(root, tmp_path / "run")
    of_the_folder = ("data=", "data.image_size=", "data.channels=")
    kept = [option for option in tiny if not option.startswith(of_the_folder)]
    return [f"experiment={source}_5way_1shot", *kept, *more]


@pytest.mark.filterwarnings("ignore:.*is not the whole data set")
def test_miniimagenet_in_colour(tmp_path: Path) -> None:
    root = made.write_folder(tmp_path / "root", made.miniimagenet_pickles())
    results = train.run(runs.compose(small("miniimagenet", root, tmp_path)))
    assert results["train/outer_steps"] == 2 and results["test/n_episodes"] == 5
    assert results["data"]["name"] == "miniimagenet"
    checkpoint = runs.load(tmp_path / "run" / "checkpoints" / "best.ckpt")
    assert list(checkpoint["hyper_parameters"]["image_shape"]) == [3, 84, 84]


@pytest.mark.filterwarnings("ignore:.*is not the whole data set")
def test_the_crop_of_cub_is_in_the_results(tmp_path: Path) -> None:
    root = made.write_tar(tmp_path / "CUB_200_2011.tgz", made.cub_files())
    more = ("data.options.crop=box", "data.image_size=16")
    results = train.run(runs.compose(small("cub", root, tmp_path, *more)))
    assert results["data"]["crop"] == "box"
    assert len(results["data"]["checksum"]) == 64
