"""How fast it is, beside how fast others are, on this machine.

    python -m benchmarks [--only A,B] [--quick] [--out benchmarks/results]
    python -m benchmarks --compare old.json new.json

Both sides of a ratio run in turn in one process, with one thread. Every case writes ``<name>.json``; S,
the cost against tasks, ways and channels, and M, memory by tasks at once, too. Two figures, ``ratios.png``
and ``scaling.png``, are drawn from the files in the results folder.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks import (
    episodes,
    figures,
    machine,
    maml_conv4,
    memory,
    meta_test,
    processes,
    scaling,
    search_step,
)
from metanas_pl.utils.malloc import keep_freed_memory

Figures = dict[str, Any]


class Case(NamedTuple):
    """One line of the table: ``measure(rounds) -> figures`` with a ``ratio`` and its quartiles."""

    letter: str
    name: str
    work: str
    reference: str
    goal: float
    measure: Callable[[int], Figures]


SCALING, MEMORY = "S", "M"
HELP = ["-m", "metanas_pl.cli.train", "--help"]
IMPORT = ["-c", "import metanas_pl"]
STEP = "MetaNAS outer step, {}, 10 tasks x 5 steps"
MAML = "MAML-Conv4-64, 5 steps, second order, {}-way 1-shot x {} tasks"
CASES = (
    Case(
        "A",
        "search_step_paper",
        STEP.format("C=28, 4 cells, 20-way"),
        "module loop",
        4.0,
        search_step.run(search_step.PAPER, long=True),
    ),
    Case(
        "B",
        "search_step_compact",
        STEP.format("C=8, 4 cells, 5-way"),
        "module loop",
        8.0,
        search_step.run(search_step.COMPACT),
    ),
    Case(
        "C",
        "maml_conv4_5way",
        MAML.format(5, 16),
        "the faster of higher and torchopt",
        1.5,
        maml_conv4.run(maml_conv4.Work(5, 16)),
    ),
    Case(
        "C",
        "maml_conv4_20way",
        MAML.format(20, 8),
        "the faster of higher and torchopt",
        1.5,
        maml_conv4.run(maml_conv4.Work(20, 8)),
    ),
    Case(
        "D",
        "episodes",
        "20-way 5-shot episodes with rotations",
        "a decoded file for every sample",
        50.0,
        episodes.run,
    ),
    Case(
        "E",
        "testing",
        "testing, 10 episodes x 100 adaptation steps, C=8, thresholds",
        "module loop",
        6.0,
        meta_test.run,
    ),
    Case(
        "F",
        "two_ranks",
        "training of the default experiment, two ranks of one thread",
        "one process of one thread",
        1.8,
        processes.two_ranks,
    ),
    Case(
        "G",
        "help",
        "metanas-train --help",
        "a limit of 1.5 s",
        1.0,
        processes.start_up(HELP, 1.5),
    ),
    Case(
        "G",
        "import",
        "import metanas_pl, interpreter included",
        "a limit of 0.3 s",
        1.0,
        processes.start_up(IMPORT, 0.3),
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
    letters = list(dict.fromkeys(case.letter for case in CASES)) + [SCALING, MEMORY]
    if unknown := sorted(wanted - set(letters)):
        command_line.error(f"--only {unknown[0]}: there is no such case, only {', '.join(letters)}")
    torch.set_num_threads(1)
    keep_freed_memory()
    options.out.mkdir(parents=True, exist_ok=True)
    rounds, results = 2 if options.quick else 7, []
    for case in (c for c in CASES if not wanted or c.letter in wanted):
        print(f"{case.letter}: {case.work} …", flush=True)
        result = {**case._asdict(), **case.measure(rounds)}
        del result["measure"]
        write(options.out, result)
        results.append(result)
    if not wanted or SCALING in wanted:
        print(f"{SCALING}: a search step against tasks, ways, channels …", flush=True)
        write(options.out, {"name": "scaling"} | scaling.run(2 if options.quick else 3))
    draw(options.out)
    print_table(results)
    if not wanted or MEMORY in wanted:
        peaks = memory.run()
        write(options.out, {"name": "memory", "peak_mb": peaks})
        memory.print_table(peaks)


def write(folder: Path, result: Figures) -> None:
    """A results file, with the machine."""
    text = json.dumps(result | {"machine": machine.describe()}, indent=2) + "\n"
    (folder / f"{result['name']}.json").write_text(text, encoding="utf-8")


def draw(folder: Path) -> None:
    """Both figures, of what the folder holds."""
    found = {case.name: folder / f"{case.name}.json" for case in CASES}
    read = [json.loads(p.read_text(encoding="utf-8")) for p in found.values() if p.exists()]
    if read:
        figures.ratios(read).savefig(folder / "ratios.png", dpi=110)
    costs = folder / "scaling.json"
    if costs.exists():
        result = json.loads(costs.read_text(encoding="utf-8"))
        figures.scaling(result).savefig(folder / "scaling.png", dpi=110)


if __name__ == "__main__":
    main()
