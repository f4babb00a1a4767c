"""Cells of MetaNAS and DARTS: mixed, and derived from a genotype."""
