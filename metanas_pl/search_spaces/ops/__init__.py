"""Candidate operations and the layers they are made of."""
