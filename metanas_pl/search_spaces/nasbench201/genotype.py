"""Architectures of NAS-Bench-201: their strings, their files, and all of them in turn."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import ClassVar

from metanas_pl.errors import UserError
from metanas_pl.search_spaces.genotypes.architecture import Architecture, read_text
from metanas_pl.search_spaces.genotypes.genes import Cell, brief

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""The five operations, in the order of the benchmark."""

N_NODES = 3
"""Nodes after the input; node i has an edge from the input and from every node before it."""

EXAMPLE = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
_KEY = "nasbench201"


@dataclass(frozen=True)
class Nasbench201Genotype(Architecture):
    """One cell: an operation on each of the six edges (Dong & Yang 2020, arXiv 2001.00326).

    Args:
        operations: for each node the operations on its edges, from the input and earlier nodes.

    Raises:
        UserError: a wrong number of nodes or edges, or an unknown operation.

    >>> genotype = Nasbench201Genotype.from_text(EXAMPLE)
    >>> genotype.operations[1]
    ('none', 'nor_conv_3x3')
    >>> str(genotype) == EXAMPLE
    True
    """

    CELL_NAMES: ClassVar[tuple[str, ...]] = ("cell",)
    INPUTS: ClassVar[tuple[str, ...]] = ("input",)

    operations: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        sizes = [len(node) for node in self.operations]
        if sizes != list(range(1, N_NODES + 1)):
            raise UserError(f"a NAS-Bench-201 cell has nodes of 1, 2 and 3 edges, not {sizes}")
        for name in (name for node in self.operations for name in node):
            if name not in OPERATIONS:
                raise UserError(
                    f"operation {brief(name)} is unknown: choose from {', '.join(OPERATIONS)}"
                )

    def _cell(self, name: str) -> tuple[Cell, tuple[int, ...]]:
        nodes = tuple(tuple((o, j) for j, o in enumerate(node)) for node in self.operations)
        return nodes, (N_NODES,)

    def __str__(self) -> str:
        nodes = ("".join(f"|{o}~{j}" for j, o in enumerate(node)) for node in self.operations)
        return "|+".join(nodes) + "|"

    @classmethod
    def from_text(cls, text: str) -> Nasbench201Genotype:
        """Reads an architecture string ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``.

        Raises:
            UserError: it has another form.

        >>> Nasbench201Genotype.from_text("|none~0|")
        Traceback (most recent call last):
        metanas_pl.errors.UserError: a NAS-Bench-201 cell has nodes of 1, 2 and 3 edges, not [1]
        """
        nodes = [node.strip("|").split("|") for node in text.split("+")]
        genotype = cls(tuple(tuple(edge.partition("~")[0] for edge in node) for node in nodes))
        if str(genotype) != text:
            raise UserError(f"{brief(text)} is not of the form {EXAMPLE}")
        return genotype

    def to_json(self) -> str:
        """Returns the architecture string in a JSON mapping."""
        return json.dumps({_KEY: str(self)})

    @classmethod
    def load(cls, text_or_path: str | Path) -> Nasbench201Genotype:
        """Returns an architecture from its string, or from a JSON file that :meth:`save` wrote.

        Raises:
            UserError: neither a string of that form nor such a file.

        >>> Nasbench201Genotype.load(EXAMPLE).operations[0]
        ('nor_conv_3x3',)
        """
        if str(text_or_path).startswith("|"):
            return cls.from_text(str(text_or_path))
        content = read_text(text_or_path, f"an architecture string ({EXAMPLE})")
        try:
            text = json.loads(content)[_KEY]
            return cls.from_text(text)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise UserError(f"{text_or_path} holds no NAS-Bench-201 genotype: {error}") from error


def all_genotypes() -> Iterator[Nasbench201Genotype]:
    """Returns all 5^6 = 15,625 architectures, the operation of the last edge changing fastest.

    >>> print(next(all_genotypes()))
    |none~0|+|none~0|none~1|+|none~0|none~1|none~2|
    """
    for names in product(OPERATIONS, repeat=sum(range(1, N_NODES + 1))):
        yield Nasbench201Genotype((names[:1], names[1:3], names[3:]))
