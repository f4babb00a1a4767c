"""Schemas of the configuration: what may be set, its default, and what is refused.

Each group of ``configs/`` is typed by one dataclass. Values are checked when the dataclass is built,
so Python users and the command line get the same messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

from omegaconf import OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException

from metanas_pl.config.schemas.data import AugmentConfig, DataConfig
from metanas_pl.config.schemas.methods import (
    MOST_STEPS,
    CostConfig,
    InnerConfig,
    MetaConfig,
    NASConfig,
    OuterConfig,
)
from metanas_pl.config.schemas.spaces import (
    CellSpaceConfig,
    Conv4Config,
    Nasbench201Config,
    ResNet12Config,
)
from metanas_pl.config.schemas.trainer import check_batches, check_precision, checked_trainer
from metanas_pl.config.validation import (
    check,
    check_choice,
    check_most,
    check_numbers,
    did_you_mean,
)
from metanas_pl.errors import UserError
from metanas_pl.utils.ranges import bounds

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from metanas_pl.types import Settings

C = TypeVar("C", bound="DataclassInstance")

__all__ = [
    "AugmentConfig",
    "CellSpaceConfig",
    "Config",
    "Conv4Config",
    "CostConfig",
    "DataConfig",
    "EvaluationConfig",
    "InnerConfig",
    "MetaConfig",
    "NASConfig",
    "Nasbench201Config",
    "OuterConfig",
    "ResNet12Config",
    "check",
    "check_choice",
    "check_numbers",
    "from_plain",
    "plain",
]


ARMS = {
    "frozen": "alphas held still",
    "own": "the task's own alphas, held",
    "same_group": "alphas of another task of the group",
    "other_group": "alphas of a task of another group",
    "shuffled": "own alphas, options shuffled",
    "best": "of these arms, the one with the least support loss",
    "oracle": "of these arms, the best on the queries",
}
"""Whose alphas validation and test also try, and in words."""


@dataclass
class EvaluationConfig:
    """What adapts at test time and for how long; None takes the values of ``meta.inner``.

    ``t_max``, ``t_min`` and ``threshold`` take the place of those of the NAS method (``test_threshold``).

    ``arms``: whose alphas validation and test also try, held still (``ARMS``).
    ``other_data``: the stores need not be those of the training.
    """

    adapt: str = "both"
    steps: int | None = None
    arch_steps: int | None = None
    t_max: float | None = None
    t_min: float | None = None
    threshold: float | None = None
    arms: list[str] = field(default_factory=lambda: ["frozen"])
    other_data: bool = False

    def __post_init__(self) -> None:
        for arm in self.arms:
            check_choice("evaluation.arms", arm, tuple(ARMS))
        choosing = {"best", "oracle"} & set(self.arms)
        check(
            not choosing or len(set(self.arms) - choosing) > 1,
            "evaluation.arms",
            self.arms,
            "best and oracle choose among the other arms: name at least two of these",
        )
        check_choice("evaluation.adapt", self.adapt, ("both", "weights", "alphas", "nothing"))
        check_numbers("evaluation", self, "steps", 1)
        check_most("evaluation", self, "steps", MOST_STEPS)
        check_numbers("evaluation", self, "arch_steps threshold", 0)
        check_numbers("evaluation", self, "t_max t_min", 0, strict=True)


@dataclass
class Config:
    """The whole experiment.

    ``num_threads``: threads of one CPU operation, per process; None leaves torch's choice. Small networks
    are faster with one. ``ckpt_path``: a checkpoint to resume from; ``last`` is the newest of the run
    folder. ``resume=auto`` resumes from that, too, and starts a new run where there is none.
    """

    experiment: str | None = None
    data: DataConfig = field(default_factory=DataConfig)
    space: Any = None
    nas: NASConfig = field(default_factory=NASConfig)
    meta: MetaConfig = field(default_factory=MetaConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    trainer: dict[str, Any] = field(default_factory=dict)
    logger: Any = None
    callbacks: Any = None
    seed: int = 0
    num_threads: int | None = None
    ckpt_path: str | None = None
    resume: str | None = None
    run_dir: str = "."

    def __post_init__(self) -> None:
        check(0 <= self.seed < 2**32, "seed", self.seed, f"must be from 0 to {2**32 - 1}")
        fits = self.num_threads is None or self.num_threads > 0
        check(fits, "num_threads", self.num_threads, "must be at least 1, or null")
        if self.resume is not None:
            check_choice("resume", self.resume, ("auto",))
            allowed = "resume=auto takes the newest of the run folder: leave one of them out"
            check(self.ckpt_path is None, "ckpt_path", self.ckpt_path, allowed)
        self.trainer = checked_trainer(self.trainer)
        check_precision(str(self.trainer.get("precision") or 32))
        data = self.data
        n_test = -(-data.n_test_episodes // data.eval_batch_size)
        check_batches(self.trainer, data.n_train_episodes // data.meta_batch_size, n_test)
        self._check_ways()

    def _check_ways(self) -> None:
        """Refuses ways that vary where outputs or inner states are those of one number of ways."""
        carried = self.meta.inner.state == "carried"
        if not (carried or self.meta.head == "learned"):
            return
        reason = "meta.inner.state=carried" if carried else "meta.head=learned"
        allowed = f"{reason} needs one number of ways (meta.head=zero and fresh states take any)"
        for name in ("n_ways", "n_train_ways"):
            ways = getattr(self.data, name)
            fits = ways is None or bounds(ways)[0] == bounds(ways)[1]
            check(fits, f"data.{name}", ways, allowed)


def plain(config: object) -> Settings:
    """Returns a configuration dataclass (or mapping) as dict of plain values, fit for a checkpoint."""
    return dict(config) if isinstance(config, dict) else asdict(cast("DataclassInstance", config))


def from_plain(schema: type[C], values: object) -> C:
    """Builds ``schema`` from a mapping, typed by OmegaConf, or passes an instance through.

    Raises:
        UserError: an unknown key, or a value of another type or without sense.
    """
    if isinstance(values, schema):
        return values
    name = schema.__name__
    if not isinstance(values, Mapping):
        raise UserError(f"{name}={values} makes no sense: it must be a mapping")
    check("${" not in str(values), name, values, "a value with ${ would be looked up elsewhere")
    try:
        typed = OmegaConf.merge(OmegaConf.structured(schema), _without_numpy(values))
        return cast(C, OmegaConf.to_object(typed))
    except OmegaConfBaseException as error:
        raise UserError(_reason(error, name)) from error


def _without_numpy(value: object) -> Any:
    """Returns ``value`` with numbers of numpy, which OmegaConf refuses, as those of Python."""
    if isinstance(value, Mapping):
        return {key: _without_numpy(part) for key, part in value.items()}
    is_number = getattr(value, "ndim", None) == 0 and hasattr(value, "item")
    return cast(Any, value).item() if is_number else value


def _reason(error: OmegaConfBaseException, name: str) -> str:
    """Returns where in the schema ``name`` something is wrong, and what, in one line."""
    place = f"{name}.{error.full_key}" if error.full_key else name
    if isinstance(error, ConfigKeyError) and is_dataclass(error.object_type):
        known = [field.name for field in fields(error.object_type)]
        return f"{place}: there is no such key{did_you_mean(str(error.key), known)}"
    return f"{place}: {' '.join(str(error.msg).splitlines()[:1])}"
