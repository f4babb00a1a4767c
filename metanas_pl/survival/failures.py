"""What ends a run through nobody's mistake."""


class RunFailed(Exception):
    """The run cannot go on; the message is one line: what happened, and what is left to do.

    No ``RuntimeError``, which is what a checkpoint that does not fit makes of torch.
    Command lines print it and exit with code 1.
    """
