"""Reader for state dicts of the official implementation (github.com/boschresearch/metanas).

Only tensors are taken (see ``tensor_file``); parameter names are translated.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from metanas_pl.errors import UserError
from metanas_pl.types import Theta
from metanas_pl.utils.tensor_file import TensorFileError, load_tensors

_ALPHA = re.compile(r"alpha_(pw_)?(normal|reduce)\.(\d+)$")
_CELL = re.compile(r"cells\.(\d+)\.(preproc([01])|dag\.(\d+)\.(\d+)(\._ops\.(\d+))?(\.0)?)\.(.*)$")
LONGEST_NAME = 200  # characters; names of a network are shorter
_RUNNING = ("running_mean", "running_var", "num_batches_tracked")


def load_official(path: str | Path) -> Theta:
    """Reads weights and alphas from a file that holds an official state dict.

    Raises:
        UserError: the file is damaged, or holds anything but a dict of tensors under the official names.
    """
    try:
        state = load_tensors(path)
    except TensorFileError as error:
        raise UserError(f"{path} is no state dict of a MetaNAS model: {error}") from error
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(_is_entry(*item) for item in state.items()):
        raise UserError(f"{path}: expected a dict of tensors, the state dict of a MetaNAS model")
    return translate(state)


def _is_entry(name: object, value: object) -> bool:
    return isinstance(name, str) and len(name) < LONGEST_NAME and isinstance(value, Tensor)


def translate(state: Mapping[str, Tensor]) -> Theta:
    """Splits an official state dict into weights and alphas under the names used here.

    Raises:
        UserError: a name that the official supernet and derived network do not have.

    >>> import torch
    >>> theta = translate({"alpha_pw_normal.0": torch.zeros(1), "net.linear.bias": torch.zeros(5)})
    >>> list(theta.weights), list(theta.alphas)
    (['head.bias'], ['normal_pair_0'])
    """
    weights, alphas = {}, {}
    is_supernet = any(name.startswith("net.") for name in state)
    for name, tensor in state.items():
        if name.endswith(_RUNNING):
            continue
        if match := _ALPHA.match(name):
            if is_supernet:  # derived networks carry dummy alphas
                pair, cell, node = match.groups()
                alphas[f"{cell}_{'pair_' if pair else ''}{node}"] = tensor
        else:
            weights[_weight_name(name.removeprefix("net."), tensor.dim() == 4)] = tensor
    return Theta(weights, alphas)


def _weight_name(name: str, is_kernel: bool) -> str:
    if name.startswith("stem."):
        return name.replace("stem.0.", "stem.convs.0.").replace("stem.1.", "stem.norm.")
    if name.startswith("linear."):
        return name.replace("linear.", "head.")
    match = _CELL.match(name)
    if match is None:
        raise UserError(f"{name!r} is not a parameter of an official MetaNAS network")
    cell, _, preprocess, node, edge, _, op, _, tail = match.groups()
    if preprocess is not None:
        return f"preprocess.{cell}.{preprocess}.{_layer(tail, is_kernel)}"
    place = f"cells.{cell}.nodes.{node}.{edge}" + ("" if op is None else f".{op}")
    return f"{place}.{_layer(tail, is_kernel)}"


def _layer(tail: str, is_kernel: bool) -> str:
    """Translates the part inside a primitive: kernel ``net.1.weight`` is ``convs.0.weight``."""
    if match := re.match(r"net\.([01])\.(net\..*)$", tail):  # the halves of sep_conv
        return f"{match[1]}.{_layer(match[2], is_kernel)}"
    if match := re.match(r"conv([12])\.weight$", tail):  # the halves of a factorized reduction
        return f"convs.{int(match[1]) - 1}.weight"
    if match := re.match(r"(?:net\.(\d)|bn)\.(weight|bias)$", tail):
        return f"convs.{int(match[1]) - 1}.weight" if is_kernel else f"norm.{match[2]}"
    raise UserError(f"{tail!r} is not a layer of an official MetaNAS primitive")
