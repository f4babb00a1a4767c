"""``python -m benchmarks.search``: trials of the search on problems whose answer is known."""

from __future__ import annotations

import argparse

from benchmarks.search import known_table


def main() -> None:
    """Console script."""
    parser = argparse.ArgumentParser("python -m benchmarks.search", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train every network of the known table")
    train.add_argument("--data", default="glyphs", choices=list(known_table.SOURCES))
    train.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    options = parser.parse_args()
    known_table.make(options.data, options.seeds)


if __name__ == "__main__":
    main()
