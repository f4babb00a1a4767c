"""What ends a run through nobody's mistake."""


class RunFailed(RuntimeError):
    """The run cannot go on; the message is one line: what happened, and what is left to do.

    Command lines print it and exit with code 1.
    """
