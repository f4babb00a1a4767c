"""Which library is loaded, and that there is one where it could be built."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from metanas_pl.kernels import library as libraries

SIZES = "import metanas_pl.kernels.library as l; print(l.processor())"


def processor(**environment: str) -> str:
    """Returns what a process of its own finds."""
    env = {**os.environ, **environment}
    done = subprocess.run([sys.executable, "-c", SIZES], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.skipif(
    shutil.which("g++") is None or os.environ.get(libraries.SWITCH) == "0",
    reason="no compiler, or switched off",
)
def test_the_library_is_there_where_it_can_be_built() -> None:
    """``pip install -e .`` builds it."""
    assert libraries.library() is not None


def test_it_can_be_switched_off() -> None:
    assert processor(METANAS_KERNELS="0") == "None"


@pytest.mark.skipif(libraries.library() is None, reason="no library")
@pytest.mark.parametrize("capability", ["avx2", "default"])
def test_the_processor_decides(capability: str) -> None:
    """torch can be told to take a processor for a lesser one; the least of x86-64 has no library."""
    expected = "AVX2" if capability == "avx2" else "None"
    if torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"):
        pytest.skip("another kind of processor")
    assert processor(ATEN_CPU_CAPABILITY=capability) == expected


@pytest.mark.parametrize("content", [b"", b"no library"])
def test_a_broken_file_is_no_library(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in libraries.FILES.values():
        (tmp_path / name).write_bytes(content)
    monkeypatch.setattr(libraries, "FOLDER", tmp_path)
    assert libraries.library.__wrapped__() is None


def test_without_a_file_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "FOLDER", tmp_path)
    assert libraries.library.__wrapped__() is None
