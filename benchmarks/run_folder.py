"""What a finished run wrote, as those read it who compare runs: every value is checked."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import torch
import yaml
from omegaconf import DictConfig, OmegaConf

from metanas_pl.errors import UserError


def figure(folder: Path, key: str) -> float:
    """A number of ``results.json``.

    Raises:
        UserError: the file is damaged, or has no such number.
    """
    file = folder / "results.json"
    try:
        results: Any = json.loads(file.read_text(encoding="utf-8"))
        value = results[key]
        number = math.nan if isinstance(value, bool | str) else float(value)
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError) as error:
        raise UserError(f"{file} has no number {key!r} ({error})") from error
    if not math.isfinite(number):
        raise UserError(f"{file} has no number {key!r}, but {value!r:.40}")
    return number


def accuracies(folder: Path, column: str = "accuracy") -> torch.Tensor:
    """A column of ``episodes_test.csv``, a share of 1 each.

    Raises:
        UserError: the file is damaged, or the column holds something else.
    """
    file = folder / "episodes_test.csv"
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            values = [float(row[column]) for row in csv.DictReader(lines)]
    except (ValueError, LookupError, TypeError, csv.Error) as error:
        raise UserError(f"{file} has no numbers in column {column!r} ({error})") from error
    if not values or not all(0 <= value <= 1 for value in values):
        raise UserError(f"{file}: column {column!r} holds no shares of 1")
    return torch.tensor(values).double()


def configuration(folder: Path) -> DictConfig:
    """``config.yaml``, as plain values.

    Raises:
        UserError: the file is damaged, or holds something that ``metanas-train`` does not write.
    """
    file = folder / "config.yaml"
    try:
        text = file.read_text(encoding="utf-8")
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):
            raise UserError("an alias, which could make a small file a large configuration")
        stored = OmegaConf.create(text)
    except (ValueError, TypeError, AssertionError, yaml.YAMLError, RecursionError) as error:
        raise UserError(f"{file} is damaged: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(stored, DictConfig) or not stored:
        raise UserError(f"{file} is damaged: it holds no mapping")
    return stored
