"""The tasks of a meta-batch: one after the other, mapped over, or grouped; all give the same numbers."""
