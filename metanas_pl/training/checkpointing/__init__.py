"""Checkpoints: their format, how they are written and found, and where a run resumes."""
