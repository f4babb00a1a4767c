"""All three sides of the MAML benchmark give one meta-gradient."""

import torch

from benchmarks.maml_conv4 import MetaGradient, Work, libraries

TINY = Work(n_ways=3, tasks=2, steps=2, channels=4, n_queries=2, image_size=16)


def test_three_sides_one_meta_gradient() -> None:
    step = MetaGradient(TINY, torch.float64)
    ours = step.ours()
    assert all(g.abs().max() > 1e-6 for g in ours)
    for query_loss in libraries(TINY.steps).values():
        for _ in range(2):  # a package may leave the network moved
            torch.testing.assert_close(ours, step.by(query_loss), rtol=1e-8, atol=1e-10)
