"""The console script ``metanas-data``."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence

from metanas_pl.cli.console import make_printable
from metanas_pl.cli.errors import ShowVersions, with_short_errors

# each is a module of this package
COMMANDS = ("list", "prepare", "verify", "show", "stats", "remove")
EPILOG = "Stores are kept in $METANAS_DATA, or in your cache folder if that is not set."


def main(arguments: Sequence[str] | None = None) -> None:
    """Console script; exits with 0, 1 (a check failed), 2 (a mistake) or 130 (Ctrl-C)."""
    make_printable()
    args = parse(arguments)
    raise SystemExit(with_short_errors(lambda: args.run(args)))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parses a command; settings may also come after its options, which argparse alone refuses."""
    parser = make_parser()
    args, others = parser.parse_known_args(arguments)
    if others:
        if not hasattr(args, "settings") or any(w.startswith("-") or "=" not in w for w in others):
            parser.error(f"unrecognized arguments: {' '.join(others)}")
        args.settings += others
    return args


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of all commands; ``run`` of what it returns is the command's function."""
    parser = argparse.ArgumentParser("metanas-data", description="Data sets.", epilog=EPILOG)
    parser.add_argument("--version", action=ShowVersions, nargs=0)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in COMMANDS:
        module = importlib.import_module(f"metanas_pl.cli.data.{name}")
        command = commands.add_parser(
            name, help=module.HELP, description=module.HELP, epilog=EPILOG
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


if __name__ == "__main__":
    main()
