"""The compiled library: one file for each kind of processor, loaded when it is first asked for."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path

SWITCH = "METANAS_KERNELS"
"""Environment variable: ``0`` computes everything in Python."""
VERSION = 1
FOLDER = Path(__file__).parent
FILES = {"AVX512": "network_avx512.so", "AVX2": "network_avx2.so", "DEFAULT": "network_any.so"}


def processor() -> str | None:
    """Returns for which kind of processor networks are compiled; None if Python computes them."""
    return _capability() if library() is not None else None


@cache
def library() -> ctypes.CDLL | None:
    """Returns the library for this processor; None where it was not built or is switched off."""
    if os.environ.get(SWITCH, "1") == "0":
        return None
    path = FOLDER / FILES.get(_capability(), FILES["DEFAULT"])
    if not path.is_file():
        return None
    try:
        found = ctypes.CDLL(str(path))
        version = found.metanas_version
    except (OSError, AttributeError):
        return None
    version.restype = ctypes.c_int64
    return found if version() == VERSION else None


def _capability() -> str:
    """Returns what torch found of the processor: AVX512, AVX2, DEFAULT or another name."""
    import torch  # not before it is needed: command lines import this file

    return torch.backends.cpu.get_cpu_capability()
