"""Genes and cells as plain data: checked, and read from and written as text.

States of a cell are numbered: first its inputs, then its nodes. Reading never evaluates code.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeGuard

from metanas_pl.errors import UserError

Gene = tuple[str, int]
"""A primitive and the state it is applied to."""

Cell = tuple[tuple[Gene, ...], ...]
"""The genes of each node."""


def checked_cell(cell: object, where: str, n_inputs: int = 2) -> Cell:
    """``cell`` as tuples.

    Raises:
        UserError: it is not a list of nodes of genes, or an input does not exist at that place;
            the message begins with ``where``.

    >>> checked_cell([[["conv_3x3", 0]]], "normal")
    ((('conv_3x3', 0),),)
    """
    nodes = _sequence(cell, where, "a list of nodes")
    return tuple(
        tuple(
            _checked_gene(gene, f"{where} node {i}", n_states=i + n_inputs)
            for gene in _sequence(node, f"{where} node {i}", "a list of (primitive, input)")
        )
        for i, node in enumerate(nodes)
    )


def _checked_gene(gene: object, where: str, n_states: int) -> Gene:
    parts = _sequence(gene, where, "a pair (primitive, input)")
    if len(parts) != 2 or not isinstance(name := parts[0], str) or not name:
        raise UserError(f"{where}: {brief(gene)} must be a pair (primitive name, input)")
    source = parts[1]
    if not _is_state(source, 0, n_states):
        raise UserError(f"{where}: the input in {brief(gene)} must be one of 0..{n_states - 1}")
    return name, source


def checked_concat(outputs: object, where: str, n_nodes: int) -> tuple[int, ...]:
    """Returns the output states of a cell with two inputs as a tuple; an empty list means all its nodes.

    Raises:
        UserError: they are not distinct nodes.

    >>> checked_concat([], "normal_concat", 3)
    (2, 3, 4)
    """
    if isinstance(outputs, (list, tuple)) and not outputs:
        return tuple(range(2, n_nodes + 2))
    given = _sequence(outputs, where, "a list of states")
    states = tuple(s for s in given if _is_state(s, 2, n_nodes + 2))
    if len(set(states)) < len(given):
        raise UserError(f"{where}: {brief(outputs)} must be distinct nodes of 2..{n_nodes + 1}")
    return states


def _sequence(value: object, where: str, expected: str) -> Sequence[object]:
    if not isinstance(value, (list, tuple)) or not value:
        raise UserError(f"{where}: {brief(value)} must be {expected}, not empty")
    return value


def _is_state(value: object, start: int, stop: int) -> TypeGuard[int]:
    return type(value) is int and start <= value < stop


def brief(value: object) -> str:
    """``repr(value)`` in at most 60 characters, whatever it is."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # too deep, or an integer of too many digits
        text = type(value).__name__
    return text if len(text) <= 60 else f"{text[:57]}..."


def cell_text(cell: Cell) -> str:
    """Returns one line, nodes separated by bars.

    >>> cell_text(((("conv_3x3", 0),), (("skip_connect", 2), ("conv_3x3", 1))))
    '(conv_3x3,0) | (skip_connect,2)(conv_3x3,1)'
    """
    return " | ".join("".join(f"({name},{source})" for name, source in node) for node in cell)


def cell_from_text(text: str) -> Cell:
    """Returns the inverse of :func:`cell_text`; what is not a gene is passed over.

    >>> cell_from_text("(conv_3x3,0) | (skip_connect,2)(conv_3x3,1)")[1]
    (('skip_connect', 2), ('conv_3x3', 1))
    """
    genes = (re.findall(r"\((\w+),(\d+)\)", node) for node in text.split("|"))
    return tuple(tuple((name, int(source)) for name, source in node) for node in genes)
