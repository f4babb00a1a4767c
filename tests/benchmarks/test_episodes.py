"""Both sides of the episode benchmark give images of the same classes and the same size."""

from pathlib import Path

import numpy as np
import torch

from benchmarks.episodes import Sides, Work, decoded

TINY = Work(
    n_classes=4, n_images=3, n_ways=4, n_shots=1, n_queries=1, episodes=2, file_side=12, side=6
)


def test_both_sides(tmp_path: Path) -> None:
    sides = Sides(TINY, tmp_path)
    ours, decoding = sides.ours(), sides.decoding()
    assert len(ours) == len(decoding) == TINY.episodes
    assert ours[0].support_x.shape == ours[0].query_x.shape == (4, 1, 6, 6)
    assert decoding[0].shape == (8, 1, 6, 6)
    known = torch.from_numpy(np.stack([decoded(f, 0, 6) for f in tmp_path.glob("train_*.png")]))
    turned = torch.cat([known.rot90(k, (1, 2)) for k in range(4)]).float() / 255
    for image in (*ours[0].support_x, *decoding[0]):
        assert (turned == image).flatten(1).all(1).any()
