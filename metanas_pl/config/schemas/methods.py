"""Schemas of NAS methods and meta-learners."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from metanas_pl.config.validation import check, check_choice, check_most, check_numbers

ALPHA_IMAGES = ("support", "split", "augmented", "held_out")
MOST_STEPS = 1_000_000  # of an inner loop, which notes a temperature for each


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
        check_numbers("nas.cost", self, "weight", 0)
        check_numbers("nas.cost", self, "target", 0, strict=True)


@dataclass
class NASConfig:
    """A NAS method: relaxation, alpha-step, regulariser, soft pruning.

    ``relaxation``, ``alpha_gradient``, ``noise``, ``perturb`` and ``regulariser`` are dotted paths of
    functions, ``options`` their keyword arguments. ``input_relaxation`` is that of the inputs of a node
    (pairs, edges); None takes ``relaxation``. ``step=joint`` takes weights and alphas from one
    backward pass instead of ``alpha_gradient``. ``anneals``: the relaxation has a temperature.
    ``noise_per``: drawn for every ``pass``, or once a ``task``. ``needs_weight_step``: the method looks at
    the w-step. ``auxiliary_skip`` is the first weight
    of an extra skip connection, which decays to 0 over the outer steps. Thresholds are mixing weights.

    T has two clocks. Inside a task it falls from ``t_max`` to ``t_min`` by ``temperature_schedule``. Over
    the outer steps both start ``outer_t_factor`` times as high. They fall in equal ratios, from the end of
    the warm-up until ``outer_t_until`` of the training is over. Validation and test take the last values.
    ``alpha_signal``: alphas learn from the ``gradient`` of the loss, in the inner loop as well, or from
    the loss of the single path that an outer step samples (``path_loss``). ``choose_among``: the search
    keeps so many sets of alphas, and each task takes the one whose support loss is lowest. Each outer step
    computes ``sampled_options`` options of every choice of an operation, drawn by their mixing weights, in
    the warm-up uniformly; None computes all.
    ``alpha_images``: the alpha-steps see the images of the w-steps (``support``), other shots of each class
    (``split``), changed copies (``augmented``), or ``held_out``: other shots where there are two or more,
    else changed copies. ``meta_prune_interval`` counts outer steps, 0 switches meta-pruning off. From
    ``meta_prune_from`` of the training on it removes options whose weight is below ``meta_prune_threshold``
    and whose meta-gradients over the tasks lie ``meta_prune_deviation`` standard errors above those of the
    best option; a deviation of 0 asks the weight alone. The weights are those of ``meta_prune_relaxation``
    at the T at which a task ends; None takes ``relaxation``.
    """

    name: str = "darts_first_order"
    search: bool = True
    adapts_alphas: bool = True
    relaxation: str = "metanas_pl.algorithms.nas.relaxations.softmax"
    input_relaxation: str | None = None
    step: str = "alternating"
    alpha_gradient: str = "metanas_pl.algorithms.nas.architecture_gradients.first_order"
    needs_weight_step: bool = False
    anneals: bool = True
    noise: str | None = None
    noise_per: str = "pass"
    perturb: str | None = None
    regulariser: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    partial_channels: int = 1
    auxiliary_skip: float = 0.0
    cost: CostConfig = field(default_factory=CostConfig)
    t_max: float = 0.05
    t_min: float = 0.05
    temperature_schedule: str = "geometric"
    outer_t_factor: float = 20.0
    outer_t_until: float = 0.8
    alpha_signal: str = "gradient"
    choose_among: int = 1
    sampled_options: int | None = 2
    alpha_images: str = "held_out"
    threshold: float = 0.01
    test_threshold: float = 0.05
    meta_prune_threshold: float = 0.01
    meta_prune_relaxation: str | None = None
    meta_prune_interval: int = 0
    meta_prune_from: float = 0.5
    meta_prune_deviation: float = 3.0

    def __post_init__(self) -> None:
        check_numbers("nas", self, "t_max t_min", 0, strict=True)
        check_numbers("nas", self, "threshold test_threshold meta_prune_threshold", 0)
        check_most("nas", self, "threshold test_threshold meta_prune_threshold", 1)
        check_numbers("nas", self, "meta_prune_interval auxiliary_skip", 0)
        check_numbers("nas", self, "meta_prune_deviation", 0)
        check_numbers("nas", self, "sampled_options choose_among", 1)
        check_numbers("nas", self, "partial_channels outer_t_factor", 1)
        for name in ("outer_t_until", "meta_prune_from"):
            share = getattr(self, name)
            check(0 <= share <= 1, f"nas.{name}", share, "a share of the training, from 0 to 1")
        check_choice("nas.alpha_images", self.alpha_images, ALPHA_IMAGES)
        fits = self.t_min <= self.t_max
        check(fits, "nas.t_min", self.t_min, f"must be at most nas.t_max={self.t_max}")
        check_choice("nas.temperature_schedule", self.temperature_schedule, ("linear", "geometric"))
        check_choice("nas.alpha_signal", self.alpha_signal, ("gradient", "path_loss"))
        fits = self.alpha_signal == "gradient" or self.sampled_options == 1
        check(
            fits,
            "nas.sampled_options",
            self.sampled_options,
            "must be 1 with alpha_signal=path_loss",
        )
        check_choice("nas.step", self.step, ("alternating", "joint"))
        check_choice("nas.noise_per", self.noise_per, ("pass", "task"))


@dataclass
class InnerConfig:
    """The inner loop.

    ``alpha_optimizer`` None takes ``optimizer``, ``head_lr`` None takes ``weight_lr``; it is the rate for
    episodes with the ways of the training, others take it in proportion to theirs;
    ``arch_steps`` None adapts alphas in every step, and T falls over ``anneal_steps``, None being all of
    them; ``test_arch_steps`` and ``test_anneal_steps`` likewise. ``alpha_weight_decay`` is decoupled from
    Adam's moments. ``proximal`` is lambda of the term
    ``lambda/2 ||phi - theta||^2`` that ties the adapted point to theta (iMAML).
    """

    optimizer: str = "sgd"
    alpha_optimizer: str | None = "adam"
    weight_lr: float = 0.1
    head_lr: float | None = 3.0
    alpha_lr: float = 0.01
    weight_decay: float = 0.0
    alpha_weight_decay: float = 1e-3
    beta1: float = 0.0
    beta2: float = 0.999
    state: str = "fresh"
    steps: int = 3
    arch_steps: int | None = None
    anneal_steps: int | None = None
    batch_size: int | None = None
    test_steps: int = 5
    test_arch_steps: int | None = None
    test_anneal_steps: int | None = None
    test_batch_size: int | None = None
    drop_path: float = 0.0
    proximal: float = 0.0

    def __post_init__(self) -> None:
        check_choice("meta.inner.optimizer", self.optimizer, ("adam", "sgd"))
        if self.alpha_optimizer is not None:
            check_choice("meta.inner.alpha_optimizer", self.alpha_optimizer, ("adam", "sgd"))
        check_choice("meta.inner.state", self.state, ("fresh", "carried"))
        check_numbers("meta.inner", self, "steps test_steps batch_size test_batch_size", 1)
        check_most("meta.inner", self, "steps test_steps", MOST_STEPS)
        check_numbers("meta.inner", self, "weight_lr head_lr alpha_lr weight_decay", 0)
        check_numbers(
            "meta.inner", self, "alpha_weight_decay arch_steps test_arch_steps proximal", 0
        )
        check_numbers("meta.inner", self, "anneal_steps test_anneal_steps", 1)
        in_range = 0 <= self.drop_path < 1
        check(in_range, "meta.inner.drop_path", self.drop_path, "a probability in [0, 1)")


@dataclass
class OuterConfig:
    """The outer optimizer and its schedule; ``warm_up_steps`` outer steps leave the alphas alone.

    ``hyper_lr`` is the rate of learned inner hyper-parameters. ``clip_norm`` bounds the norm of the
    meta-gradient, that of weights, of alphas and of hyper-parameters each on its own.
    """

    optimizer: str = "adam"
    weight_lr: float = 0.01
    alpha_lr: float = 0.02
    hyper_lr: float = 1e-3
    schedule: str = "constant"
    warm_up_steps: int = 0
    clip_norm: float | None = None

    def __post_init__(self) -> None:
        check_choice("meta.outer.optimizer", self.optimizer, ("adam", "sgd"))
        check_choice("meta.outer.schedule", self.schedule, ("constant", "linear", "cosine"))
        check_numbers("meta.outer", self, "weight_lr alpha_lr hyper_lr warm_up_steps", 0)
        check_numbers("meta.outer", self, "clip_norm", 0, strict=True)


@dataclass
class MetaConfig:
    """A meta-learner: what adapts, what is learned beside theta, how the meta-gradient comes about.

    ``meta_gradient`` and ``rates`` are dotted paths of functions, ``options`` their keyword arguments.
    ``gradient_order``: the meta-gradient is the ``displacement`` of theta (Reptile), the ``first_order``
    gradient at the end of the inner loop, or ``exact``, through the inner loop.
    ``trains_on``: in training the inner loop sees the ``support`` set, or ``support_and_query`` (Reptile
    needs no queries of its own). ``adapts``: the weights that the inner loop moves. ``step_norms``:
    batch-norm scales and shifts of their own for each inner step. ``head``: ``zero`` starts every task with
    an empty head, so any number of ways can be tested; ``learned`` meta-learns it; ``prototype_init``
    starts it from class means; ``prototypes`` computes it from class means in every pass. ``query_norm`` is
    the batch norm of training queries. ``backend``: ``grouped`` computes the tasks of a meta-batch side by
    side, ``vmap`` maps over them, ``loop`` takes one after the other; ``auto`` groups where the space can,
    else maps.
    ``chunk_size``: most tasks at once; None takes all on a GPU, as many as a cache holds on a CPU.
    """

    name: str = "fomaml"
    meta_gradient: str = "metanas_pl.algorithms.meta.meta_gradients.fomaml"
    gradient_order: str = "first_order"
    options: dict[str, Any] = field(default_factory=dict)
    trains_on: str = "support"
    adapts: str = "all"
    rates: str = "metanas_pl.algorithms.inner_rates.constant"
    step_norms: bool = False
    head: str = "zero"
    query_norm: str = "inductive"
    backend: str = "auto"
    chunk_size: int | None = None
    inner: InnerConfig = field(default_factory=InnerConfig)
    outer: OuterConfig = field(default_factory=OuterConfig)

    def __post_init__(self) -> None:
        orders = ("displacement", "first_order", "exact")
        check_choice("meta.gradient_order", self.gradient_order, orders)
        check_choice("meta.trains_on", self.trains_on, ("support", "support_and_query"))
        check_choice("meta.adapts", self.adapts, ("all", "head", "body", "none"))
        heads = ("learned", "zero", "prototype_init", "prototypes")
        check_choice("meta.head", self.head, heads)
        check_choice("meta.query_norm", self.query_norm, ("inductive", "transductive"))
        check_choice("meta.backend", self.backend, ("auto", "loop", "vmap", "grouped"))
        check_numbers("meta", self, "chunk_size", 1)
        carried_vmap = self.inner.state == "carried" and self.backend in ("vmap", "grouped")
        allowed = "carried inner states pass from task to task, which needs backend loop or auto"
        check(not carried_vmap, "meta.backend", self.backend, allowed)
