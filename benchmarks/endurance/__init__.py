"""What a run and its files endure: one case a file, ``python -m benchmarks.endurance CASE``."""
