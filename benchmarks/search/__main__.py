"""``python -m benchmarks.search``: trials of the search on problems whose answer is known."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.search import judge, known_need, known_table
from benchmarks.search.known_table import Images
from metanas_pl.cli import app
from metanas_pl.cli.app import CONFIG_DIR

CONTROLS = {"fixed", "random"}  # they do not search
METHODS = sorted({file.stem for file in Path(CONFIG_DIR, "nas").glob("*.yaml")} - CONTROLS)


def main() -> None:
    """Console script."""
    parser = argparse.ArgumentParser("python -m benchmarks.search", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train every network of the known table")
    train.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    search = commands.add_parser(
        "search", help="search with NAS methods, to be judged by the table"
    )
    search.add_argument("--nas", nargs="+", default=METHODS)
    search.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    search.add_argument("--seconds", type=float, default=120.0, help="of CPU time for each search")
    search.add_argument("--episodes", type=int, default=20, help="to rank within the supernet")
    need = commands.add_parser("need", help="does the adapted architecture know its task?")
    need.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    need.add_argument("--seconds", type=float, default=600.0, help="of CPU time for each training")
    need.add_argument("--out", type=Path, default=Path("outputs/need"), help="run folders")
    need.add_argument("overrides", nargs="*", help="of the experiment, as metanas-train takes them")
    table = commands.add_parser("table", help="regret, rank and tau of every method")
    for command in (train, search, table):
        command.add_argument("--data", default="glyphs", help="name of the files of results")
    for command in (train, search):
        command.add_argument("--root", help="folder of classes; without it the images are glyphs")
    options = parser.parse_args()
    if options.command == "need":
        out = options.out.resolve()
        app.with_short_errors(
            lambda: known_need.run(out, options.seeds, options.seconds, options.overrides)
        )
        return
    if options.command != "table" and (options.data == "glyphs") != (options.root is None):
        parser.error("--data names the images of --root; the glyphs have no folder")
    if options.command == "train":
        known_table.make(Images(options.data, options.root), options.seeds)
    elif options.command == "table":
        print(judge.table(options.data))
    else:
        images = Images(options.data, options.root)
        judge.search(images, options.nas, options.seeds, options.seconds, options.episodes)


if __name__ == "__main__":
    main()
