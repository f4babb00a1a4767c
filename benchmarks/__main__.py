"""How fast it is, beside how fast others are, on this machine.

    python -m benchmarks [--only A,B] [--quick] [--out benchmarks/results]
    python -m benchmarks --compare old.json new.json

Both sides of a ratio run in turn in one process, with one thread. Every case writes ``<name>.json``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks import machine, search_step
from metanas_pl.allocator import keep_freed_memory

Figures = dict[str, Any]


class Case(NamedTuple):
    """One line of the table: ``measure(rounds) -> figures`` with a ``ratio`` and its quartiles."""

    letter: str
    name: str
    work: str
    reference: str
    goal: float
    measure: Callable[[int], Figures]


CASES = (
    Case(
        "A",
        "search_step_paper",
        "MetaNAS outer step, C=28, 4 cells, 20-way, 10 tasks x 5 steps",
        "module loop",
        4.0,
        search_step.run(search_step.PAPER),
    ),
    Case(
        "B",
        "search_step_compact",
        "MetaNAS outer step, C=8, 4 cells, 5-way, 10 tasks x 5 steps",
        "module loop",
        8.0,
        search_step.run(search_step.COMPACT),
    ),
)


def print_table(results: Sequence[Figures]) -> None:
    """The table in Markdown."""
    print("| | work | reference | goal | ratio (quartiles) | ours, s | reference, s |")
    print("|---|---|---|---|---|---|---|")
    for r in results:
        ratio, sides = r["ratio"], (r["ours_s"]["median"], r["reference_s"]["median"])
        quartiles = f"{ratio['median']:.2f} ({ratio['low']:.2f}–{ratio['high']:.2f})"
        times = " | ".join(f"{s:.3g}" for s in sides)
        head = f"{r['letter']} | {r['work']} | {r['reference']} | {r['goal']:g}"
        print(f"| {head} | {quartiles} | {times} |")


def changes(old: Figures, new: Figures) -> str:
    """What became of a case: a change counts if the quartiles of the ratios do not meet."""
    before, after = old["ratio"], new["ratio"]
    change = after["median"] / before["median"] - 1
    if after["low"] > before["high"]:
        word = "faster"
    elif after["high"] < before["low"]:
        word = "SLOWER"
    else:
        word = "no change beyond noise"
    return f"{new['name']}: {before['median']:.2f} -> {after['median']:.2f} ({change:+.0%}), {word}"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    made.formatter_class = argparse.RawDescriptionHelpFormatter
    made.add_argument("--only", default="", help="letters of cases, by comma")
    made.add_argument("--quick", action="store_true", help="two rounds instead of seven")
    made.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="results folder")
    made.add_argument("--compare", nargs=2, type=Path, metavar=("OLD", "NEW"), help="results files")
    return made


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print and write; or compare two results files."""
    command_line = parser()
    options = command_line.parse_args(argv)
    if options.compare:
        old, new = (json.loads(path.read_text(encoding="utf-8")) for path in options.compare)
        if old["name"] != new["name"]:
            command_line.error(f"--compare: {old['name']} and {new['name']} are different cases")
        print(changes(old, new))
        return
    wanted = {letter for letter in options.only.upper().split(",") if letter}
    unknown = sorted(wanted - {case.letter for case in CASES})
    if unknown:
        letters = ", ".join(case.letter for case in CASES)
        command_line.error(f"--only {unknown[0]}: there is no such case, only {letters}")
    torch.set_num_threads(1)
    keep_freed_memory()
    options.out.mkdir(parents=True, exist_ok=True)
    results = []
    for case in (c for c in CASES if not wanted or c.letter in wanted):
        print(f"{case.letter}: {case.work} …", flush=True)
        figures = case.measure(2 if options.quick else 7)
        result = {**case._asdict(), **figures, "machine": machine.describe()}
        del result["measure"]
        text = json.dumps(result, indent=2) + "\n"
        (options.out / f"{case.name}.json").write_text(text, encoding="utf-8")
        results.append(result)
    print_table(results)


if __name__ == "__main__":
    main()
