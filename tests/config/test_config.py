"""What the schemas refuse, and that the message names key, value and what is allowed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from metanas_pl.config import (
    AugmentConfig,
    CellSpaceConfig,
    Config,
    DataConfig,
    EvaluationConfig,
    InnerConfig,
    MetaConfig,
    NASConfig,
    OuterConfig,
    from_plain,
    plain,
)


@pytest.mark.parametrize(
    ("schema", "values", "message"),
    [
        (DataConfig, {"n_ways": 0}, "data.n_ways=0 makes no sense: must be at least 2"),
        (DataConfig, {"meta_batch_size": -1}, "data.meta_batch_size=-1"),
        (DataConfig, {"n_train_episodes": 15}, "multiple of data.meta_batch_size=10"),
        (DataConfig, {"n_ways": [5, 2]}, r"data.n_ways=\[5, 2\] makes no sense: .*a range"),
        (DataConfig, {"n_shots": [0, 2]}, r"data.n_shots=\[0, 2\].*must be at least 1"),
        (DataConfig, {"sampling": "all"}, "data.sampling=all.*uniform, group"),
        (DataConfig, {"source": ["a", "b"], "weights": [1]}, "data.weights=.*each of 2"),
        (
            DataConfig,
            {"augment": {"saturation": 0.1}},
            "data.augment.saturation=0.1 makes no sense: grey images",
        ),
        (AugmentConfig, {"contrast": 1.5}, "data.augment.contrast=1.5"),
        (AugmentConfig, {"sets": "test"}, "data.augment.sets=test.*both, support, query"),
        (DataConfig, {"channels": 2}, "data.channels=2 makes no sense: must be 1 or 3"),
        (CellSpaceConfig, {"reductions": [4]}, r"space.reductions=\[4\].*cells are 0..3"),
        (CellSpaceConfig, {"primitives": ["conv_9x9"]}, "choose one of max_pool_3x3"),
        (CellSpaceConfig, {"primitives": []}, "at least one primitive"),
        (NASConfig, {"t_min": 0.0}, "nas.t_min=0.0 makes no sense: must be above 0"),
        (
            NASConfig,
            {"t_max": 0.01},
            "nas.t_min=0.05 makes no sense: must be at most nas.t_max=0.01",
        ),
        (InnerConfig, {"optimizer": "lion"}, "meta.inner.optimizer=lion.*adam, sgd"),
        (InnerConfig, {"drop_path": 1.0}, "meta.inner.drop_path=1.0"),
        (MetaConfig, {"inner": {"steps": 0}}, "meta.inner.steps=0"),
        (MetaConfig, {"backend": "vmap", "inner": {"state": "carried"}}, "meta.backend=vmap"),
        (OuterConfig, {"schedule": "step"}, "meta.outer.schedule=step"),
        (EvaluationConfig, {"adapt": "all"}, "evaluation.adapt=all.*both, weights"),
        (NASConfig, {"tmax": 1.0}, "NASConfig.tmax: there is no such key; did you mean t_max?"),
        (MetaConfig, {"inner": {"step": 1}}, "MetaConfig.inner.step: .* did you mean steps?"),
        (
            MetaConfig,
            {"inner": {"steps": 2.5}},
            "MetaConfig.inner.steps: Value '2.5' of type 'float'",
        ),
        (InnerConfig, {"steps": True}, "InnerConfig.steps: Value 'True' of type 'bool'"),
        (CellSpaceConfig, {"reductions": [1, "x"]}, r"CellSpaceConfig.reductions\[1\]: Value 'x'"),
        (MetaConfig, [1], r"MetaConfig=\[1\] makes no sense: it must be a mapping"),
        (NASConfig, {"name": "${oc.env:HOME}"}, r"\$\{oc.env:HOME\}.*would be looked up elsewhere"),
    ],
)
def test_senseless_values_are_refused(schema: Any, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_plain(schema, values)


@pytest.mark.parametrize(
    ("data", "meta", "message"),
    [
        ({"n_ways": [2, 5]}, {"head": "learned"}, r"data.n_ways=\[2, 5\].*meta.head=learned"),
        ({"n_train_ways": [2, 5]}, {"inner": {"state": "carried"}}, "data.n_train_ways=.*carried"),
    ],
)
def test_ways_that_vary_need_a_head_for_any(data: Any, meta: Any, message: str) -> None:
    def config(data: Any) -> Config:
        return Config(
            data=from_plain(DataConfig, data),
            meta=from_plain(MetaConfig, {"backend": "auto", **meta}),
        )

    config({"n_ways": [5, 5], "n_shots": [1, 5]})
    with pytest.raises(ValueError, match=message):
        config(data)


def test_plain_and_back() -> None:
    config = MetaConfig(head="zero", inner=InnerConfig(steps=7))
    assert from_plain(MetaConfig, plain(config)) == config
    assert from_plain(MetaConfig, config) is config


def test_numbers_of_numpy_and_torch_are_those_of_python() -> None:
    inner = {"weight_lr": np.float64(0.25), "steps": np.int64(4), "alpha_lr": torch.tensor(0.5)}
    config = from_plain(MetaConfig, {"inner": inner})
    assert (config.inner.weight_lr, config.inner.steps, config.inner.alpha_lr) == (0.25, 4, 0.5)
    assert type(config.inner.weight_lr) is float and type(config.inner.steps) is int
