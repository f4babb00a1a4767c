"""``metanas-data``: prepare, check, look at and remove data sets; one file a command.

Each command has ``HELP``, ``add_arguments(parser)`` and ``run(args) -> exit code``.
"""
