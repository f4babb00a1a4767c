"""``python -m benchmarks.search``: trials of the search on problems whose answer is known."""

from __future__ import annotations

import argparse

from benchmarks.search import judge as judging
from benchmarks.search import known_table


def main() -> None:
    """Console script."""
    parser = argparse.ArgumentParser("python -m benchmarks.search", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train every network of the known table")
    train.add_argument("--data", default="glyphs", choices=list(known_table.SOURCES))
    train.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    judge = commands.add_parser("judge", help="judge NAS methods by the known table")
    judge.add_argument("--data", default="glyphs", choices=list(known_table.SOURCES))
    judge.add_argument("--nas", nargs="+", default=["darts_first_order", "path", "gdas"])
    judge.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    judge.add_argument("--seconds", type=float, default=120.0, help="of CPU time for each search")
    judge.add_argument("--episodes", type=int, default=20, help="to rank within the supernet")
    options = parser.parse_args()
    if options.command == "train":
        known_table.make(options.data, options.seeds)
    else:
        judging.judge(options.data, options.nas, options.seeds, options.seconds, options.episodes)


if __name__ == "__main__":
    main()
