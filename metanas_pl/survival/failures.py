"""What ends a run through nobody's mistake."""

AFTER_SIGNAL = 128
"""The exit code of a run that a signal ended is this plus the signal's number, as shells count it."""


class RunFailed(RuntimeError):
    """The run cannot go on; the message is one line: what happened, and what is left to do.

    Command lines print it and exit with code 1.
    """
