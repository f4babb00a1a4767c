"""What a run is about to do, in about ten lines: the header of ``metanas-train``.

It says what is in force: a rate, a temperature or a warm-up that the methods do not use is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from metanas_pl.algorithms.heads import HEAD
from metanas_pl.config import AugmentConfig, Config, DataConfig
from metanas_pl.kernels.library import processor
from metanas_pl.utils.ranges import in_words

if TYPE_CHECKING:
    from metanas_pl.module import MetaNASModule

HEADS = {
    "zero": "head starts empty",
    "learned": "learned head",
    "prototype_init": "head starts from class means",
    "prototypes": "head of class means",
}
WEIGHTS = {"all": ["all weights"], "head": ["the head"], "body": ["the body"], "none": []}


TOO_EARLY = 0.1
"""Share of the search; what is decided before it may well be noise."""


def describe(config: Config, module: MetaNASModule) -> str:
    """Returns the resolved experiment in a few readable lines."""
    data, meta = config.data, module.meta
    lines = {
        "data": f"{data.episodes_in_words()}, {data.n_queries} queries per class, "
        f"{data.channels}x{data.image_size}x{data.image_size}",
        "training": f"{_length(config)} x {_tasks_a_step(config)} tasks, {_training_sizes(data)}, "
        f"{data.n_train_queries or data.n_queries} queries per class{_augmentation(data.augment)}, "
        f"seed {config.seed}",
        "space": _space(module),
        "nas": _nas(module),
        **_search(config, module),
        "meta": f"{meta.name}, {_what_adapts(module)}, {HEADS[meta.head]}, {_backend(module)}",
        "inner": _inner(module),
        "outer": _outer(module),
        "test": f"best checkpoint of {_number(data.n_val_episodes, 'validation episode')}, on "
        f"{_number(data.n_test_episodes, 'test episode')} of unseen classes",
        "run": config.run_dir,
    }
    return "\n".join(f"{name:<10}{line}" for name, line in lines.items())


def _number(n: int, thing: str) -> str:
    """Returns ``n`` and the name of a thing.

    >>> _number(1, "shot"), _number(5, "shot")
    ('1 shot', '5 shots')
    """
    return f"{n} {thing}{'s' if n != 1 else ''}"


def _training_sizes(data: DataConfig) -> str:
    """Returns shots, and ways where they are not those of the test.

    >>> _training_sizes(DataConfig(n_shots=[1, 5])), _training_sizes(DataConfig(n_train_ways=20))
    ('1-5 shots', '20 ways, 1 shot')
    """
    ways = [f"{in_words(data.n_train_ways)} ways"] if data.n_train_ways else []
    shots = data.n_train_shots or data.n_shots
    return ", ".join([*ways, "1 shot" if shots == 1 else f"{in_words(shots)} shots"])


def _augmentation(augment: AugmentConfig) -> str:
    """Returns in words how training images are augmented.

    >>> _augmentation(AugmentConfig(shift=2.0, scale=0.1)), _augmentation(AugmentConfig())
    (', shift up to 2, scale up to 0.1', '')
    """
    values = vars(augment).items()
    limits = {k: v for k, v in values if v and not isinstance(v, str | bool)}
    words = [f"{name} up to {limit:g}" for name, limit in limits.items()] + augment.flip * ["flip"]
    return "".join(f", {word}" for word in words)


def _length(config: Config) -> str:
    steps, epochs = config.trainer.get("max_steps") or -1, config.trainer.get("max_epochs") or -1
    if steps > 0:
        return _number(steps, "outer step")
    a_epoch = _number(config.data.n_train_episodes // _tasks_a_step(config), "outer step")
    return f"{_number(epochs, 'epoch') if epochs > 0 else 'endless epochs'} of {a_epoch}"


def _tasks_a_step(config: Config) -> int:
    return config.data.meta_batch_size * int(config.trainer.get("accumulate_grad_batches") or 1)


def _alphas_adapt(module: MetaNASModule) -> bool:
    return len(module.alphas) > 0 and module.nas.adapts_alphas


def _what_adapts(module: MetaNASModule) -> str:
    parts = WEIGHTS[module.meta.adapts] + ["the alphas"] * _alphas_adapt(module)
    return f"adapts {' and '.join(parts) or 'nothing'}"


def _backend(module: MetaNASModule) -> str:
    if module.meta.inner.state == "carried":
        return "inner states carried from task to task"
    compiled = processor()
    by = "" if compiled is None else f", cells compiled for {compiled}"
    return f"backend {module.learner.backend}{by if module.learner.backend == 'grouped' else ''}"


def _space(module: MetaNASModule) -> str:
    space = module.hparams["space"]
    n_weights = sum(p.numel() for p in module.space.parameters())
    n_alphas = sum(a.numel() for a in module.alphas.values())
    parts = [f"{n_weights:,} weights", f"{n_alphas} alphas" if n_alphas else "nothing to search"]
    if not module.nas.search and space.get("genotype") is not None:
        parts.insert(0, f"genotype {space['genotype']}")
    return f"{space['name']}: {', '.join(parts)}"


def _nas(module: MetaNASModule) -> str:
    nas = module.nas
    if not len(module.alphas):
        return nas.name if not nas.search else f"{nas.name}, which finds nothing to search"
    parts = [nas.name]
    if not nas.adapts_alphas:
        parts.append("the alphas stay as they are")
    if nas.noise is not None and nas.noise_per == "task":
        parts.append("a new draw for every task")
    parts += [f"{name} {value}" for name, value in nas.options.items()]
    if nas.anneals:
        falls = f" → {nas.t_min:g} ({nas.temperature_schedule})" if nas.t_min < nas.t_max else ""
        hotter = f", first {nas.outer_t_factor:g} times as high" if nas.outer_t_factor > 1 else ""
        parts.append(f"T {nas.t_max:g}{falls}{hotter}")
    n = nas.sampled_options
    if n is not None:
        parts.append(f"{_number(n, 'sampled option')} of each choice")
    if nas.adapts_alphas:
        parts.append(f"threshold {nas.threshold:g}")
        if nas.meta_prune_interval:
            parts.append(f"meta-pruning every {_number(nas.meta_prune_interval, 'step')}")
    return ", ".join(parts)


def _search(config: Config, module: MetaNASModule) -> dict[str, str]:
    """Returns a line on how far alphas move, and what noise would decide; nothing without a search."""
    from metanas_pl.training.noise_trial import decided_by_noise, reach_in_task

    nas, meta, steps = module.nas, module.meta, config.trainer.get("max_steps") or -1
    if not _alphas_adapt(module) or steps <= 0:
        return {}
    parts = [f"alphas move up to {reach_in_task(nas, meta, steps):.2g} T in a task"]
    if meta.inner.alpha_optimizer == "sgd":
        parts = [f"alphas move {reach_in_task(nas, meta, steps):.2g} T in a task per unit gradient"]
    if nas.alpha_signal == "path_loss":
        parts = ["alphas rest inside a task"]
    if meta.outer.optimizer == "adam":
        parts.append(f"{meta.outer.alpha_lr / nas.t_min:.2g} T in an outer step")
    share = decided_by_noise(nas, meta, steps)
    if share is not None:
        parts.append(f"noise would decide half of the choices in {100 * share:.0f} % of the search")
        if share < TOO_EARLY:
            parts[-1] += " (WARNING: lower meta.outer.alpha_lr or raise nas.t_min)"
    return {"search": ", ".join(parts)}


def _inner(module: MetaNASModule) -> str:
    meta, inner = module.meta, module.meta.inner
    names = (name for name, _ in module.space.named_parameters())
    moving = {name for name in names if module.learner.loops.moves(name)}
    rates = {}
    if moving - set(HEAD):
        rates["weights"] = inner.weight_lr
    if moving & set(HEAD) and (inner.head_lr is not None or not rates):
        rates["head"] = inner.weight_lr if inner.head_lr is None else inner.head_lr
    if _alphas_adapt(module):
        rates["alphas"] = inner.alpha_lr
    if not rates:
        return "no step changes anything"
    optimizers = [inner.optimizer] if moving else []
    if _alphas_adapt(module) and (inner.alpha_optimizer or inner.optimizer) not in optimizers:
        optimizers.append(f"{inner.alpha_optimizer or inner.optimizer} (alphas)")
    learned = any(name.startswith("rate:") for name in module.hyper_names)
    parts = [" and ".join(optimizers), _number(inner.steps, "step")]
    if _alphas_adapt(module) and inner.arch_steps is not None and inner.arch_steps < inner.steps:
        parts[-1] += f" ({inner.arch_steps} for the alphas)"
    parts.append(f"{'learned rates from' if learned else 'rates'} {_rates(rates)}")
    if meta.step_norms:
        parts.append("batch norms per step")
    if inner.proximal:
        parts.append(f"proximal {inner.proximal:g}")
    return f"{', '.join(parts)}; {_number(inner.test_steps, 'step')} at test"


def _outer(module: MetaNASModule) -> str:
    outer = module.meta.outer
    rates = {"weights": outer.weight_lr}
    if _alphas_adapt(module):
        rates["alphas"] = outer.alpha_lr
    if module.hyper_names:
        rates["inner rates and norms" if module.meta.step_norms else "inner rates"] = outer.hyper_lr
    parts = [outer.optimizer, f"rates {_rates(rates)}", f"{outer.schedule} schedule"]
    if _alphas_adapt(module) and outer.warm_up_steps:
        parts.append(f"alphas rest for {_number(outer.warm_up_steps, 'step')}")
    return ", ".join(parts)


def _rates(rates: dict[str, float]) -> str:
    return " ".join(f"{rate:g} ({of})" for of, rate in rates.items())
