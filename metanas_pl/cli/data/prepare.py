"""``metanas-data prepare``: build the store of a data set, as ``metanas-train`` would."""

from __future__ import annotations

import argparse
import time

from metanas_pl.cli.data.names import add_settings, data_config, data_request
from metanas_pl.cli.data.tables import print_store
from metanas_pl.data.datasets import SOURCES, prepare_source
from metanas_pl.data.store.cache import stores_in

HELP = "download and convert a data set; what is there already is not built again"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds NAME and settings."""
    parser.add_argument(
        "name", metavar="NAME", help=f"{', '.join(SOURCES)}, or the dotted path of a source"
    )
    add_settings(parser)


def run(args: argparse.Namespace) -> int:
    """Builds or finds the store and prints what it holds."""
    from rich.console import Console

    config = data_config(args.name, args.settings)
    request = data_request(config)
    before = {cached.path for cached in stores_in(request.cache_dir) if cached.store}
    begin = time.perf_counter()
    store = prepare_source(config.source, request)
    there = store.path in before
    took = "is there already" if there else f"prepared in {time.perf_counter() - begin:.1f} s"
    console = Console()
    console.print(f"{store.meta.name} {took}", markup=False, highlight=False)
    print_store(console, store)
    return 0
