"""The reader of official checkpoints: names, and nothing but tensors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from metanas_pl.search_spaces.official_checkpoints import load_official, translate

GOLDEN = Path(__file__).parent.parent / "golden"


def test_reads_a_saved_state_dict(tmp_path: Path) -> None:
    case = torch.load(GOLDEN / "supernet_pairwise.pt", weights_only=True)
    torch.save(case["state_dict"], tmp_path / "official.pt")
    theta = load_official(tmp_path / "official.pt")
    assert sum(w.numel() for w in theta.weights.values()) == case["n_weights"]
    assert sum(a.numel() for a in theta.alphas.values()) == case["n_alphas"]


def test_code_in_a_checkpoint_is_refused(tmp_path: Path) -> None:
    """Fault 8 of earlier implementations."""

    class Touch:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (str(tmp_path / "touched"),)

    torch.save({"net.linear.bias": Touch()}, tmp_path / "evil.pt")
    with pytest.raises(ValueError, match=r"evil\.pt is no state dict.* asks for"):
        load_official(tmp_path / "evil.pt")
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("content", [{"a": 1}, [1, 2], {"net.linear.bias": "text"}])
def test_anything_but_tensors_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "odd.pt")
    with pytest.raises(ValueError, match="expected a dict of tensors"):
        load_official(tmp_path / "odd.pt")


@pytest.mark.parametrize(
    "name", ["net.cells.0.unknown.weight", "net.cells.0.preproc0.conv9.weight"]
)
def test_unknown_names_are_told(name: str) -> None:
    with pytest.raises(ValueError, match="is not a"):
        translate({name: torch.zeros(1)})


def test_running_statistics_and_dummy_alphas_are_left_out() -> None:
    theta = translate(
        {
            "linear.bias": torch.zeros(2),
            "alpha_normal.0": torch.zeros(1, 5),
            "stem.1.running_mean": torch.zeros(3),
            "cells.2.preproc0.bn.weight": torch.ones(4),
        }
    )
    assert set(theta.weights) == {"head.bias", "preprocess.2.0.norm.weight"}
    assert theta.alphas == {}
