"""What the arguments of Lightning's Trainer may be: checked before anything is built.

Lightning finds some of these mistakes only when it first needs the value, which may be after the training.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TypeGuard

from metanas_pl.config.validation import check, did_you_mean
from metanas_pl.errors import UserError

if TYPE_CHECKING:
    from metanas_pl.types import Settings


class Kind(NamedTuple):
    """A kind of value: in words, and whether a value is of it."""

    words: str
    fits: Callable[[Any], bool]

    def or_null(self) -> Kind:
        """Returns the kind that also allows None."""
        return Kind(f"{self.words}, or null", lambda value: value is None or self.fits(value))


def is_whole(value: object) -> TypeGuard[int]:
    """Returns whether ``value`` is a whole number; True is none."""
    return isinstance(value, int) and not isinstance(value, bool)


def whole(least: int, endless: bool = False) -> Kind:
    """Returns the kind of whole numbers from ``least`` on, and of -1 where that means without end."""
    words = f"a whole number from {least} on" + (", or -1 for no limit" if endless else "")
    return Kind(words, lambda v: is_whole(v) and (v >= least or (endless and v == -1)))


def batches(least: int) -> Kind:
    """Returns the kind of numbers of batches, or shares of them."""
    return Kind(
        f"a number of batches from {least} on, or a share of them such as 0.5",
        lambda v: (
            (is_whole(v) and v >= least)
            or (isinstance(v, float) and least - 1 < v <= 1 and (v > 0 or least == 0))
        ),
    )


def one_of(*values: object) -> Kind:
    """Returns the kind of a few values; unlike ``in``, it distinguishes 1 from True."""
    words = ", ".join("null" if v is None else str(v).lower() for v in values)
    return Kind(
        f"one of {words}", lambda v: any(v is x or (v == x and type(v) is type(x)) for x in values)
    )


def is_time(value: object) -> bool:
    """Returns whether ``value`` is a time for Lightning: ``DD:HH:MM:SS``, or a mapping for ``timedelta``.

    >>> is_time("00:01:30:00"), is_time({"minutes": 90}), is_time("90 minutes")
    (True, True, False)
    """
    if isinstance(value, Mapping):
        try:
            return timedelta(**value) > timedelta(0)
        except TypeError:
            return False
    return isinstance(value, timedelta) or (
        isinstance(value, str) and re.fullmatch(r"\d+:\d\d:\d\d:\d\d", value.strip()) is not None
    )


def is_devices(value: object) -> bool:
    """Returns whether ``value`` names devices: how many (-1: all), which, or ``auto``.

    >>> [is_devices(value) for value in (2, -1, "auto", [0, 1], "0,1", 0, "two")]
    [True, True, True, True, True, False, False]
    """
    if isinstance(value, str):
        return re.fullmatch(r"auto|-1|[1-9]\d*|\d+(,\s*\d+)*,?", value.strip()) is not None
    if isinstance(value, list | tuple):
        return bool(value) and all(is_whole(v) and v >= 0 for v in value)
    return is_whole(value) and (value == -1 or value > 0)


SWITCH = one_of(True, False)
TIME = "a time such as 00:01:30:00 (days, hours, minutes, seconds) or {minutes: 90}"
NAME = Kind("a name", lambda v: isinstance(v, str))
ALLOWED_PRECISIONS = "bf16-true, 32-true or 64-true (32 and 64 are short for them)"
SETTINGS: dict[str, Kind] = {
    "accelerator": NAME,
    "strategy": NAME,
    "devices": Kind("a number from 1 on, -1 for all, a list such as [0,1], or auto", is_devices),
    "num_nodes": whole(1),
    "precision": Kind(ALLOWED_PRECISIONS, lambda v: isinstance(v, str) or is_whole(v)).or_null(),
    "fast_dev_run": Kind(
        "true, false or a number of batches", lambda v: SWITCH.fits(v) or whole(0).fits(v)
    ),
    "max_epochs": whole(0, endless=True).or_null(),
    "min_epochs": whole(0).or_null(),
    "max_steps": whole(0, endless=True),
    "min_steps": whole(0).or_null(),
    "max_time": Kind(TIME, is_time).or_null(),
    "limit_train_batches": batches(0).or_null(),
    "limit_val_batches": batches(0).or_null(),
    "limit_test_batches": batches(1).or_null(),
    "limit_predict_batches": batches(0).or_null(),
    "overfit_batches": batches(0),
    "val_check_interval": Kind(
        f"{batches(1).words}, or {TIME}", lambda v: batches(1).fits(v) or is_time(v)
    ).or_null(),
    "check_val_every_n_epoch": whole(1).or_null(),
    "num_sanity_val_steps": whole(0, endless=True),
    "log_every_n_steps": whole(0).or_null(),
    "enable_checkpointing": SWITCH.or_null(),
    "enable_progress_bar": SWITCH.or_null(),
    "enable_model_summary": SWITCH.or_null(),
    "accumulate_grad_batches": whole(1),
    "gradient_clip_val": Kind(
        "a number from 0 on", lambda v: (is_whole(v) or isinstance(v, float)) and v >= 0
    ).or_null(),
    "gradient_clip_algorithm": one_of("norm", "value", None),
    "deterministic": one_of(True, False, "warn", None),
    "benchmark": SWITCH.or_null(),
    "inference_mode": SWITCH,
    "use_distributed_sampler": SWITCH,
    "profiler": one_of("simple", "advanced", "pytorch", None),
    "detect_anomaly": SWITCH,
    "barebones": one_of(False),
    "sync_batchnorm": SWITCH,
    "reload_dataloaders_every_n_epochs": whole(0),
    "enable_autolog_hparams": SWITCH,
}
"""Every argument that a configuration can hold, and its kind."""
OURS = ("logger", "callbacks", "plugins", "default_root_dir")


def checked_trainer(settings: Mapping[str, Any]) -> Settings:
    """Returns the arguments of the Trainer; a whole number that was written as 1e3 becomes one.

    Raises:
        UserError: one is unknown, or makes no sense.

    >>> checked_trainer({"max_steps": 1e3, "limit_val_batches": 1.0})
    {'max_steps': 1000, 'limit_val_batches': 1.0}
    """
    values = {}
    for key, value in settings.items():
        if key not in SETTINGS:
            raise UserError(_unknown(key))
        kind = SETTINGS[key]
        if isinstance(value, float) and value.is_integer() and not kind.fits(value):
            value = int(value)
        shown = "null" if value is None else value
        check(kind.fits(value), f"trainer.{key}", shown, f"give {kind.words}")
        values[key] = value
    return values


def _unknown(key: str) -> str:
    if key in OURS:
        return f"trainer.{key}: metanas_pl sets it by itself (see the groups logger and callbacks)"
    return f"trainer.{key}: there is no such key{did_you_mean(key, list(SETTINGS), 'trainer.')}"


def check_batches(settings: Mapping[str, Any], n_train: int, n_test: int) -> None:
    """Refuses a validation that no epoch comes to, and a share of the test that is not even one batch.

    Args:
        settings: of the Trainer.
        n_train: training batches of an epoch.
        n_test: test batches.

    Raises:
        UserError: names the setting.
    """
    limit, every = settings.get("limit_test_batches"), settings.get("val_check_interval")
    fits = not isinstance(limit, float) or int(limit * n_test) >= 1
    check(fits, "trainer.limit_test_batches", limit, f"that is no whole one of {n_test} batches")
    by_epoch = settings.get("check_val_every_n_epoch", 1) is not None
    fits = every is None or not (by_epoch and is_whole(every)) or every <= n_train
    allowed = (
        f"an epoch has {n_train} batches; trainer.check_val_every_n_epoch=null counts through them"
    )
    check(fits, "trainer.val_check_interval", every, allowed)


PRECISIONS = ("32-true", "64-true", "bf16-true", "32", "64")


def check_precision(precision: str) -> None:
    """Refuses mixed precision, in which gradients of the inner loop mix types, and 16 bits that overflow.

    Raises:
        UserError: names the precision and what to take.

    >>> check_precision("32-true"), check_precision("64")
    (None, None)
    """
    if precision in PRECISIONS:
        return
    reason = "an inner loop takes gradients within autocast, which fails there"
    if precision == "16-true":
        reason = "statistics of batch norm overflow in 16 bits"
    elif precision not in ("16", "16-mixed", "bf16", "bf16-mixed"):
        reason = "nothing is known of it"
    raise UserError(f"trainer.precision={precision}: {reason}: take 32, 64 or bf16-true")
