"""Errors that a command line answers with one line; any other is a fault of this package."""

AFTER_SIGNAL = 128
"""The exit code of a run that a signal ended is this plus the signal's number, as in a shell."""


class UserError(ValueError):
    """The user can mend this: the message says in one line what is wrong, where, and what to do.

    Raised where the mistake is noticed. Command lines print the message and exit with code 2.
    """


class RunFailed(Exception):
    """The run cannot continue, and no setting is to blame; the message says what happened and what to do.

    Not a ``RuntimeError``, because torch raises one for a checkpoint that does not fit. Command lines
    print the message and exit with code 1.
    """
