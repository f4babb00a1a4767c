"""How many processes a training takes: on a CPU by default one for each core that its tasks can use."""

from __future__ import annotations

import os

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from metanas_pl.config import Config, check

LAUNCHERS = ("TORCHELASTIC_RUN_ID", "SLURM_NTASKS")
"""Environment variables of launchers that start the processes themselves."""


def resolve_devices(config: Config) -> None:
    """Sets ``trainer.devices=auto`` on a CPU to a number of processes, and checks any number.

    Every process holds all parameters and gets the same number of tasks, so results do not depend on the
    number. Launchers choose it themselves, and the trials of a sweep run in one process each.

    Raises:
        UserError: tasks do not divide evenly among the devices.
    """
    trainer, tasks = config.trainer, config.data.meta_batch_size
    nodes = trainer.get("num_nodes", 1)
    if trainer.get("devices") == "auto" and trainer.get("accelerator") == "cpu":
        launched = any(name in os.environ for name in LAUNCHERS)
        alone = _is_sweep() or config.meta.inner.state == "carried" or trainer.get("fast_dev_run")
        if alone or not launched:
            trainer["devices"] = 1 if alone or nodes > 1 else largest_divisor(tasks, n_cores())
    devices = trainer.get("devices", 1)
    if isinstance(devices, int) and devices > 0:
        check(
            tasks % (devices * nodes) == 0,
            "trainer.devices",
            devices,
            f"data.meta_batch_size={tasks} tasks must divide evenly among {devices * nodes} devices",
        )


def n_cores() -> int:
    """Returns the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def largest_divisor(n: int, most: int) -> int:
    """Returns the largest divisor of ``n`` that is at most ``most``.

    >>> largest_divisor(6, 4), largest_divisor(5, 2)
    (3, 1)
    """
    return next(d for d in range(min(n, max(most, 1)), 0, -1) if n % d == 0)


def _is_sweep() -> bool:
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN
