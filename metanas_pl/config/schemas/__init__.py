"""Schemas of the groups of ``configs/``."""
