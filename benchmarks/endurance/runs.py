"""Many runs in one process, as a sweep makes them: they leave nothing behind.

    python -m benchmarks.endurance runs [--runs 50]

trains, tests and reports a tiny network that often, and looks at the process after each run. Exit code 1 if
memory, open files or threads grow beyond ``LIMITS`` per 10 runs, after the first fifth of them.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.endurance._resources import Held, held, judge
from benchmarks.endurance.hostile import silence
from metanas_pl.cli import train
from tests import runs


def looks(n_runs: int, folder: Path) -> list[Held]:
    """What the process holds after each of ``n_runs`` runs."""
    images = runs.make_images(folder / "images")
    found = []
    for k in range(n_runs):
        with silence():
            train.run(
                runs.compose([*runs.tiny(images, folder / f"run{k}", draws=True), f"seed={k}"])
            )
        found.append(held())
    return found


def main(argv: Sequence[str]) -> None:
    """Run, print and judge."""
    parser = argparse.ArgumentParser("python -m benchmarks.endurance runs", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--runs", type=int, default=50)
    n_runs = parser.parse_args(argv).runs
    with tempfile.TemporaryDirectory() as folder:
        found = looks(n_runs, Path(folder))
    settled = n_runs // 5
    judge(found[settled:], [float(k) for k in range(settled, n_runs)], "runs", 10)
