"""Checkpoints of ``metanas-train``: their format, and what is checked before one is believed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from metanas_pl.config import DataConfig, EvaluationConfig, MetaConfig, NASConfig, from_plain, plain
from metanas_pl.engine.space_factory import complete
from metanas_pl.errors import UserError
from metanas_pl.training.checkpointing.migration import migrated
from metanas_pl.utils.tensor_file import TensorFileError, load_tensors

if TYPE_CHECKING:
    from metanas_pl.types import Checkpoint

FORMAT_VERSION = 5
"""Grows when an older release could not read what is written. Checkpoints without one are of version 0,
whose layout was that of version 1; see ``migration.py``."""

SCHEMAS = {"nas": NASConfig, "meta": MetaConfig, "evaluation": EvaluationConfig}
LAYOUT: dict[str, type] = {
    "hyper_parameters": dict,
    "datamodule_hyper_parameters": dict,
    "state_dict": dict,
    "optimizer_states": list,
    "lr_schedulers": list,
    "loops": dict,
    "callbacks": dict,
    "global_step": int,
    "epoch": int,
}
DAMAGE = (ValueError, LookupError, TypeError, AttributeError, RuntimeError, OverflowError)
"""What code answers to values of another kind than it expects."""


def read(path: str) -> Checkpoint:
    """Returns the checkpoint in file ``path``, with settings that it does not name yet at their defaults.

    Nothing but tensors and plain values is unpickled.

    Raises:
        UserError: there is no such file; or it is something else, damaged, or of a newer release.
    """
    if not Path(path).is_file():
        raise UserError(f"ckpt_path={path}: there is no such file")
    stranger = f"ckpt_path={path} is not a checkpoint of metanas-train"
    try:
        checkpoint = load_tensors(path)
    except TensorFileError as error:
        raise UserError(f"{stranger}: {error}") from error
    required = {"hyper_parameters", "datamodule_hyper_parameters"}
    if not (isinstance(checkpoint, dict) and required <= set(checkpoint)):
        raise UserError(f"{stranger}: it has no hyper-parameters of one")
    _check_version(path, checkpoint)
    try:
        return _checked(checkpoint)
    except DAMAGE as error:
        raise UserError(f"ckpt_path={path} is damaged: {_line(error)}") from error


@contextmanager
def going_on_from(path: str | None) -> Iterator[None]:
    """Makes it a user's mistake if a fit in the block cannot begin with the checkpoint ``path``.

    Raises:
        UserError: Lightning could not restore it.
    """
    try:
        yield
    except DAMAGE as error:
        from metanas_pl.utils.lightning_private import arose_in_restoring

        if isinstance(error, UserError) or not arose_in_restoring(error):
            raise
        raise UserError(f"ckpt_path={path} does not fit this run: {_line(error)}") from error


def _check_version(path: str, checkpoint: Checkpoint) -> None:
    version = checkpoint.get("format_version", 0)
    if type(version) is not int or not 0 <= version <= FORMAT_VERSION:
        raise UserError(
            f"ckpt_path={path} has format version {version!r}, this release of metanas_pl reads "
            f"0 to {FORMAT_VERSION}: update it"
        )


def _checked(checkpoint: Checkpoint) -> Checkpoint:
    """Returns the checkpoint with complete hyper-parameters; raises ``DAMAGE`` if it makes no sense."""
    for key, kind in LAYOUT.items():  # some are absent where only weights were saved
        value = checkpoint.get(key, kind())
        if not isinstance(value, kind) or (isinstance(value, int) and not 0 <= value < 2**62):
            raise TypeError(f"{key}={value!r:.40}")
    if odd := [k for k, v in checkpoint["state_dict"].items() if not isinstance(v, Tensor)]:
        raise TypeError(f"{odd[0]} is no tensor")
    known = migrated(checkpoint["hyper_parameters"], checkpoint.get("format_version", 0))
    expected = {*SCHEMAS, "space", "image_shape", "n_ways", "seed", "eval_seed"}
    if set(known) != expected:
        raise KeyError(f"its hyper-parameters are {', '.join(known)}")
    channels, height, width = known["image_shape"]
    DataConfig(n_ways=known["n_ways"], image_size=height, channels=channels)
    if height != width or any(type(known[key]) is not int for key in ("seed", "eval_seed")):
        raise UserError("image_shape or a seed makes no sense")
    stored = {"eval_seed": known["eval_seed"], **checkpoint["datamodule_hyper_parameters"]}
    seed = stored.pop("seed")
    stored |= {key: stored.get(key) or {} for key in ("augment", "options")}
    data = plain(from_plain(DataConfig, stored))
    settings = {key: plain(from_plain(schema, known[key])) for key, schema in SCHEMAS.items()}
    hyper = {**known, **settings, "space": complete(known["space"])}
    return {
        **checkpoint,
        "format_version": FORMAT_VERSION,
        "hyper_parameters": hyper,
        "datamodule_hyper_parameters": {**data, "seed": seed},
    }


def _line(error: Exception) -> str:
    first = next(iter(str(error).splitlines()), "")
    return f"{type(error).__name__}: {first}"
