"""Runs one after the other in the same processes: ``python -m tests.several_runs FILE``.

FILE holds a JSON list of lists of overrides. With ``trainer=ddp`` Lightning starts this file on every
rank, once for all runs.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from metanas_pl.cli.train import run
from tests.runs import compose

if __name__ == "__main__":
    for overrides in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")):
        run(compose(overrides))
