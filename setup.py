"""Builds the compiled networks, where there is a compiler; everything else is in setup.cfg.

Without one the installation warns and goes on: the package then computes the same in Python.
"""

import platform
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

FOLDER = Path("metanas_pl/kernels/src")
FLAGS = ["-std=c++17", "-O3", "-fno-math-errno", "-Wno-psabi"]
AVX2 = ["-mavx2", "-mfma"]
AVX512 = [*AVX2, *(f"-mavx512{part}" for part in ("f", "vl", "dq", "bw"))]
PROCESSORS = {
    "avx2": AVX2,
    "avx512": [*AVX512, "-mprefer-vector-width=512"],
}
"""Flags of each library on x86-64; elsewhere there is one, for any processor of the kind."""


class BuildLibrary(build_ext):
    """Names the files as what they are: libraries that no version of Python or torch matters to."""

    def get_ext_filename(self, fullname: str) -> str:
        return str(Path(*fullname.split("."))) + ".so"


def extension(name: str, flags: list[str]) -> Extension:
    return Extension(
        f"metanas_pl.kernels.network_{name}",
        [str(FOLDER / "network.cpp")],
        depends=[str(path) for path in FOLDER.glob("*.hpp")],
        extra_compile_args=[*FLAGS, *flags],
        language="c++",
        optional=True,
    )


x86 = platform.machine() in ("x86_64", "AMD64")
setup(
    ext_modules=[extension(*each) for each in (PROCESSORS.items() if x86 else [("any", [])])],
    cmdclass={"build_ext": BuildLibrary},
)
