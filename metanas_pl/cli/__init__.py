"""The command lines: one program per file, and what they share."""
