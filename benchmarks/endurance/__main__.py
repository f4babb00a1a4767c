"""Long trials, one a file of this folder: ``python -m benchmarks.endurance CASE [options]``."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from metanas_pl.utils.malloc import keep_freed_memory

CASES = sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))


def main() -> None:
    """Run the case that is named, with the options behind its name."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in CASES:
        print(f"python -m benchmarks.endurance CASE [options]\ncases: {', '.join(CASES)}")
        raise SystemExit(2)
    keep_freed_memory()  # as metanas-train does
    import_module(f"benchmarks.endurance.{name}").main(sys.argv[2:])


if __name__ == "__main__":
    main()
