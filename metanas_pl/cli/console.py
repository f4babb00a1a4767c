"""Consoles that lack some of the characters that the command lines print."""

from __future__ import annotations

import codecs
import io
import sys
import warnings

STAND_INS = {
    "→": "->",
    "±": "+-",
    "×": "x",
    "–": "-",
    "—": "-",
    "−": "-",
    "…": "...",
    "✓": "ok",
    "✗": "FAILED",
    "•": "*",
    "“": '"',
    "”": '"',
    "‘": "'",
    "’": "'",
}
"""What is printed where the encoding of the console has no such character; others become ``?``."""
HANDLER = "metanas_pl.cli.console"


def stand_in(error: UnicodeError) -> tuple[str, int]:
    """Replaces what cannot be encoded, and continues after it: a codec error handler.

    >>> "T 0.3 → 0.02, Ω".encode("ascii", HANDLER)
    b'T 0.3 -> 0.02, ?'
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(STAND_INS.get(character, "?") for character in missing), error.end


codecs.register_error(HANDLER, stand_in)


def make_printable() -> None:
    """Lets stdout and stderr print any text, and warnings in a line. Every command line begins with it."""
    warnings.showwarning = _in_one_line
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=HANDLER)


def _in_one_line(message: Warning | str, *args: object, **options: object) -> None:
    print(f"warning: {' '.join(str(message).split())}", file=sys.stderr)
