"""What ends a run through nobody's mistake."""

AFTER_SIGNAL = 128
"""The exit code of a run that a signal ended is this plus the signal's number, as shells count it."""


class RunFailed(Exception):
    """The run cannot go on; the message is one line: what happened, and what is left to do.

    No ``RuntimeError``, which is what a checkpoint that does not fit makes of torch.
    Command lines print it and exit with code 1.
    """
