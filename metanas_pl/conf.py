"""Schemas of the configuration: what may be set, its default, and what is refused.

Each group of ``configs/`` is typed by one dataclass. Values are checked when the dataclass is built,
so Python users and the command line get the same messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from metanas_pl.spaces.primitives import BUILDERS, NONE, PRIMITIVES


def check(condition: bool, key: str, value: Any, allowed: str) -> None:
    """Raise a ``ValueError`` that names the key, its value and what is allowed."""
    if not condition:
        raise ValueError(f"{key}={value} makes no sense: {allowed}")


def check_choice(key: str, value: str, choices: Sequence[str]) -> None:
    """Raise a ``ValueError`` unless ``value`` is one of ``choices``."""
    check(value in choices, key, value, f"choose one of {', '.join(choices)}")


def _check_numbers(group: str, config: Any, names: str, least: float, strict: bool = False) -> None:
    for name in names.split():
        value = getattr(config, name)
        if value is not None:
            sign = "above" if strict else "at least"
            fits = value > least if strict else value >= least
            check(fits, f"{group}.{name}", value, f"must be {sign} {least:g}")


@dataclass
class DataConfig:
    """Where episodes come from and how large they are (see ``EpisodeDataModule``)."""

    source: str = "glyphs"
    root: str | None = None
    cache_dir: str | None = None
    n_ways: int = 5
    n_shots: int = 1
    n_queries: int = 15
    n_train_shots: int | None = None
    n_train_queries: int | None = None
    meta_batch_size: int = 10
    n_train_episodes: int = 1000
    n_val_episodes: int = 100
    n_test_episodes: int = 300
    eval_batch_size: int = 10
    num_workers: int = 0
    image_size: int = 28
    channels: int = 1
    rotations: bool = False
    omniglot_split: str = "lake"

    def __post_init__(self) -> None:
        _check_numbers("data", self, "n_ways", 2)
        _check_numbers("data", self, "n_shots n_queries n_train_shots n_train_queries", 1)
        _check_numbers("data", self, "meta_batch_size n_train_episodes eval_batch_size", 1)
        _check_numbers("data", self, "n_val_episodes n_test_episodes image_size", 1)
        _check_numbers("data", self, "num_workers", 0)
        check(self.channels in (1, 3), "data.channels", self.channels, "must be 1 or 3")
        check_choice("data.omniglot_split", self.omniglot_split, ("lake", "vinyals"))
        fits = self.n_train_episodes % self.meta_batch_size == 0
        allowed = f"must be a multiple of data.meta_batch_size={self.meta_batch_size}"
        check(fits, "data.n_train_episodes", self.n_train_episodes, allowed)


@dataclass
class CellSpaceConfig:
    """A network of stacked cells: a supernet, or with ``nas=fixed`` the network of ``genotype``.

    ``pool_norm``: pooling in the network of a genotype is followed by batch norm (in a supernet it is).
    """

    name: str = "metanas"
    builder: str = "metanas_pl.spaces.build.cells"
    channels: int = 28
    n_cells: int = 4
    n_nodes: int = 3
    reductions: list[int] = field(default_factory=lambda: [1, 3])
    stem_stride: int = 1
    channel_factor: int = 1
    pair_inputs: bool = True
    primitives: list[str] = field(default_factory=lambda: list(PRIMITIVES))
    pool_norm: bool = True
    genotype: str | None = None

    def __post_init__(self) -> None:
        _check_numbers("space", self, "channels n_cells n_nodes stem_stride channel_factor", 1)
        for index in self.reductions:
            inside = 0 <= index < self.n_cells
            check(inside, "space.reductions", self.reductions, f"cells are 0..{self.n_cells - 1}")
        for name in self.primitives:
            check_choice("space.primitives", name, tuple(BUILDERS))
        some = any(name != NONE for name in self.primitives)
        check(
            some, "space.primitives", self.primitives, f"name at least one primitive beside {NONE}"
        )


@dataclass
class Conv4Config:
    """The Conv4 backbone."""

    name: str = "conv4"
    builder: str = "metanas_pl.spaces.build.conv4"
    channels: int = 32

    def __post_init__(self) -> None:
        _check_numbers("space", self, "channels", 1)


@dataclass
class CostConfig:
    """Cost-aware search: a penalty on the expected cost of the network, in every alpha-step.

    Without ``target`` it is ``weight`` times the cost relative to the whole supernet; with one it is
    ``weight`` times the share by which the cost exceeds it. ``target`` counts parameters, or FLOPs of
    an image.
    """

    kind: str = "none"
    weight: float = 1.0
    target: float | None = None

    def __post_init__(self) -> None:
        check_choice("nas.cost.kind", self.kind, ("none", "parameters", "flops"))
        _check_numbers("nas.cost", self, "weight", 0)
        _check_numbers("nas.cost", self, "target", 0, strict=True)


@dataclass
class ResNet12Config:
    """The ResNet-12 backbone: channels of its four blocks."""

    name: str = "resnet12"
    builder: str = "metanas_pl.spaces.build.resnet12"
    channels: list[int] = field(default_factory=lambda: [64, 128, 256, 512])

    def __post_init__(self) -> None:
        fits = len(self.channels) == 4 and all(width > 0 for width in self.channels)
        check(fits, "space.channels", self.channels, "give four numbers, each at least 1")


@dataclass
class Nasbench201Config:
    """NAS-Bench-201: a supernet, or with ``nas=fixed`` the network of ``genotype``."""

    name: str = "nasbench201"
    builder: str = "metanas_pl.spaces.build.nasbench201"
    channels: int = 16
    cells_per_stage: int = 5
    genotype: str | None = None

    def __post_init__(self) -> None:
        _check_numbers("space", self, "channels cells_per_stage", 1)


@dataclass
class NASConfig:
    """A NAS method: relaxation, alpha-step, regulariser, soft pruning.

    ``relaxation``, ``alpha_gradient``, ``noise``, ``perturb`` and ``regulariser`` are dotted paths of
    functions, ``options`` their keyword arguments. ``step=joint`` takes weights and alphas from one
    backward pass instead of ``alpha_gradient``. ``noise_per``: drawn for every ``pass``, or once a
    ``task``. ``needs_weight_step``: the method looks at the w-step. ``auxiliary_skip`` is the first weight
    of an extra skip connection, which decays to 0 over the outer steps. Thresholds are mixing weights;
    ``meta_prune_interval`` counts outer steps, 0 switches meta-pruning off.
    """

    name: str = "darts_first_order"
    search: bool = True
    adapts_alphas: bool = True
    relaxation: str = "metanas_pl.functional.relaxation.softmax"
    step: str = "alternating"
    alpha_gradient: str = "metanas_pl.functional.architecture_steps.first_order"
    needs_weight_step: bool = False
    noise: str | None = None
    noise_per: str = "pass"
    perturb: str | None = None
    regulariser: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    partial_channels: int = 1
    auxiliary_skip: float = 0.0
    cost: CostConfig = field(default_factory=CostConfig)
    t_max: float = 0.3
    t_min: float = 0.02
    temperature_schedule: str = "geometric"
    threshold: float = 0.01
    test_threshold: float = 0.05
    meta_prune_threshold: float = 0.01
    meta_prune_interval: int = 0

    def __post_init__(self) -> None:
        _check_numbers("nas", self, "t_max t_min", 0, strict=True)
        _check_numbers("nas", self, "threshold test_threshold meta_prune_threshold", 0)
        _check_numbers("nas", self, "meta_prune_interval auxiliary_skip", 0)
        _check_numbers("nas", self, "partial_channels", 1)
        check(self.t_min <= self.t_max, "nas.t_min", self.t_min, f"t_max is {self.t_max}")
        check_choice("nas.temperature_schedule", self.temperature_schedule, ("linear", "geometric"))
        check_choice("nas.step", self.step, ("alternating", "joint"))
        check_choice("nas.noise_per", self.noise_per, ("pass", "task"))


@dataclass
class InnerConfig:
    """The inner loop.

    ``alpha_optimizer`` None takes ``optimizer``, ``head_lr`` None takes ``weight_lr``;
    ``arch_steps`` None adapts alphas in every step. ``proximal`` is lambda of the term
    ``lambda/2 ||phi - theta||^2`` that ties the adapted point to theta (iMAML).
    """

    optimizer: str = "adam"
    alpha_optimizer: str | None = None
    weight_lr: float = 1e-3
    head_lr: float | None = None
    alpha_lr: float = 1e-3
    weight_decay: float = 0.0
    alpha_weight_decay: float = 1e-3
    beta1: float = 0.0
    beta2: float = 0.999
    state: str = "fresh"
    steps: int = 5
    arch_steps: int | None = None
    batch_size: int | None = None
    test_steps: int = 100
    test_arch_steps: int | None = 50
    test_batch_size: int | None = None
    drop_path: float = 0.0
    proximal: float = 0.0

    def __post_init__(self) -> None:
        check_choice("meta.inner.optimizer", self.optimizer, ("adam", "sgd"))
        if self.alpha_optimizer is not None:
            check_choice("meta.inner.alpha_optimizer", self.alpha_optimizer, ("adam", "sgd"))
        check_choice("meta.inner.state", self.state, ("fresh", "carried"))
        _check_numbers("meta.inner", self, "steps test_steps batch_size test_batch_size", 1)
        _check_numbers("meta.inner", self, "weight_lr head_lr alpha_lr weight_decay", 0)
        _check_numbers(
            "meta.inner", self, "alpha_weight_decay arch_steps test_arch_steps proximal", 0
        )
        in_range = 0 <= self.drop_path < 1
        check(in_range, "meta.inner.drop_path", self.drop_path, "a probability in [0, 1)")


@dataclass
class OuterConfig:
    """The outer optimizer and its schedule; ``warm_up_steps`` outer steps leave the alphas alone.

    ``hyper_lr`` is the rate of learned inner hyper-parameters.
    """

    optimizer: str = "sgd"
    weight_lr: float = 1.0
    alpha_lr: float = 0.6
    hyper_lr: float = 1e-3
    schedule: str = "constant"
    warm_up_steps: int = 0

    def __post_init__(self) -> None:
        check_choice("meta.outer.optimizer", self.optimizer, ("adam", "sgd"))
        check_choice("meta.outer.schedule", self.schedule, ("constant", "linear", "cosine"))
        _check_numbers("meta.outer", self, "weight_lr alpha_lr hyper_lr warm_up_steps", 0)


@dataclass
class MetaConfig:
    """A meta-learner: what adapts, what is learned beside theta, how the meta-gradient comes about.

    ``meta_gradient`` and ``rates`` are dotted paths of functions, ``options`` their keyword arguments.
    ``adapts``: the weights that the inner loop moves. ``step_norms``: batch-norm scales and shifts of
    their own for each inner step. ``head``: ``zero`` starts every task with an empty head, so any number of
    ways can be tested; ``learned`` meta-learns it; ``prototype_init`` starts it from class means;
    ``prototypes`` computes it from class means in every pass. ``query_norm`` is the batch norm of training
    queries.
    """

    name: str = "reptile"
    meta_gradient: str = "metanas_pl.functional.meta_gradients.reptile"
    options: dict[str, Any] = field(default_factory=dict)
    adapts: str = "all"
    rates: str = "metanas_pl.functional.rates.constant"
    step_norms: bool = False
    head: str = "zero"
    query_norm: str = "inductive"
    backend: str = "auto"
    chunk_size: int | None = None
    inner: InnerConfig = field(default_factory=InnerConfig)
    outer: OuterConfig = field(default_factory=OuterConfig)

    def __post_init__(self) -> None:
        check_choice("meta.adapts", self.adapts, ("all", "head", "body", "none"))
        heads = ("learned", "zero", "prototype_init", "prototypes")
        check_choice("meta.head", self.head, heads)
        check_choice("meta.query_norm", self.query_norm, ("inductive", "transductive"))
        check_choice("meta.backend", self.backend, ("auto", "loop", "vmap"))
        _check_numbers("meta", self, "chunk_size", 1)
        carried_vmap = self.inner.state == "carried" and self.backend == "vmap"
        allowed = "carried inner states pass from task to task, which needs backend loop or auto"
        check(not carried_vmap, "meta.backend", self.backend, allowed)


@dataclass
class EvaluationConfig:
    """What adapts at test time and for how long; None takes the values of ``meta.inner``."""

    adapt: str = "both"
    steps: int | None = None
    arch_steps: int | None = None

    def __post_init__(self) -> None:
        check_choice("evaluation.adapt", self.adapt, ("both", "weights", "alphas", "nothing"))
        _check_numbers("evaluation", self, "steps", 1)
        _check_numbers("evaluation", self, "arch_steps", 0)


@dataclass
class Config:
    """The whole experiment.

    ``num_threads``: threads of one CPU operation, per process; None leaves torch's choice. Small networks
    are faster with one.
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
    run_dir: str = "."

    def __post_init__(self) -> None:
        check(self.seed >= 0, "seed", self.seed, "must be at least 0")
        fits = self.num_threads is None or self.num_threads > 0
        check(fits, "num_threads", self.num_threads, "must be at least 1, or null")


def plain(config: Any) -> dict[str, Any]:
    """A configuration dataclass (or mapping) as dict of plain values, fit for a checkpoint."""
    return dict(config) if isinstance(config, dict) else asdict(config)


def from_plain(schema: type[Any], values: Any) -> Any:
    """Build ``schema`` from a mapping, or pass an instance through.

    Raises:
        ValueError: an unknown key or a senseless value.
    """
    if isinstance(values, schema):
        return values
    known = {f.name: f.type for f in fields(schema)}
    unknown = sorted(set(values) - set(known))
    check(not unknown, schema.__name__, ", ".join(unknown), f"known keys are {', '.join(known)}")
    parts: dict[type[Any], dict[str, type[Any]]] = {
        MetaConfig: {"inner": InnerConfig, "outer": OuterConfig},
        NASConfig: {"cost": CostConfig},
    }
    nested = parts.get(schema, {})
    return schema(**{k: from_plain(nested[k], v) if k in nested else v for k, v in values.items()})
