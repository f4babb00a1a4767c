"""What the schemas refuse, and that the message names key, value and what is allowed."""

from __future__ import annotations

from typing import Any

import pytest

from metanas_pl import conf


@pytest.mark.parametrize(
    ("schema", "values", "message"),
    [
        (conf.DataConfig, {"n_ways": 0}, "data.n_ways=0 makes no sense: must be at least 2"),
        (conf.DataConfig, {"meta_batch_size": -1}, "data.meta_batch_size=-1"),
        (conf.DataConfig, {"n_train_episodes": 15}, "multiple of data.meta_batch_size=10"),
        (conf.DataConfig, {"n_ways": [5, 2]}, r"data.n_ways=\[5, 2\] makes no sense: .*a range"),
        (conf.DataConfig, {"n_shots": [0, 2]}, r"data.n_shots=\[0, 2\].*must be at least 1"),
        (conf.DataConfig, {"sampling": "all"}, "data.sampling=all.*uniform, group"),
        (conf.DataConfig, {"source": ["a", "b"], "weights": [1]}, "data.weights=.*each of 2"),
        (
            conf.DataConfig,
            {"augment": {"saturation": 0.1}},
            "data.augment.saturation=0.1 makes no sense: grey images",
        ),
        (conf.AugmentConfig, {"contrast": 1.5}, "data.augment.contrast=1.5"),
        (conf.AugmentConfig, {"sets": "test"}, "data.augment.sets=test.*both, support, query"),
        (conf.DataConfig, {"channels": 2}, "data.channels=2 makes no sense: must be 1 or 3"),
        (conf.CellSpaceConfig, {"reductions": [4]}, r"space.reductions=\[4\].*cells are 0..3"),
        (conf.CellSpaceConfig, {"primitives": ["conv_9x9"]}, "choose one of max_pool_3x3"),
        (conf.CellSpaceConfig, {"primitives": []}, "at least one primitive"),
        (conf.NASConfig, {"t_min": 0.0}, "nas.t_min=0.0 makes no sense: must be above 0"),
        (
            conf.NASConfig,
            {"t_max": 0.01},
            "nas.t_min=0.02 makes no sense: must be at most nas.t_max=0.01",
        ),
        (conf.InnerConfig, {"optimizer": "lion"}, "meta.inner.optimizer=lion.*adam, sgd"),
        (conf.InnerConfig, {"drop_path": 1.0}, "meta.inner.drop_path=1.0"),
        (conf.MetaConfig, {"inner": {"steps": 0}}, "meta.inner.steps=0"),
        (conf.MetaConfig, {"backend": "vmap", "inner": {"state": "carried"}}, "meta.backend=vmap"),
        (conf.OuterConfig, {"schedule": "step"}, "meta.outer.schedule=step"),
        (conf.EvaluationConfig, {"adapt": "all"}, "evaluation.adapt=all.*both, weights"),
        (
            conf.NASConfig,
            {"tmax": 1.0},
            "NASConfig.tmax: there is no such key; did you mean t_max?",
        ),
    ],
)
def test_senseless_values_are_refused(schema: Any, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        conf.from_plain(schema, values)


@pytest.mark.parametrize(
    ("data", "meta", "message"),
    [
        ({"n_ways": [2, 5]}, {"head": "learned"}, r"data.n_ways=\[2, 5\].*meta.head=learned"),
        ({"n_train_ways": [2, 5]}, {"inner": {"state": "carried"}}, "data.n_train_ways=.*carried"),
    ],
)
def test_ways_that_vary_need_a_head_for_any(data: Any, meta: Any, message: str) -> None:
    def config(data: Any) -> conf.Config:
        return conf.Config(
            data=conf.from_plain(conf.DataConfig, data),
            meta=conf.from_plain(conf.MetaConfig, {"backend": "auto", **meta}),
        )

    config({"n_ways": [5, 5], "n_shots": [1, 5]})
    with pytest.raises(ValueError, match=message):
        config(data)


def test_plain_and_back() -> None:
    config = conf.MetaConfig(head="zero", inner=conf.InnerConfig(steps=7))
    assert conf.from_plain(conf.MetaConfig, conf.plain(config)) == config
    assert conf.from_plain(conf.MetaConfig, config) is config
