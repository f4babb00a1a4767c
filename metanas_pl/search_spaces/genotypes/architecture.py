"""What every discrete architecture answers, whatever its cells look like."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from metanas_pl.errors import UserError
from metanas_pl.search_spaces.genotypes.genes import Cell


class Architecture(ABC):
    """Named cells, each a graph of primitives; ``str`` gives the text that users see.

    Attributes:
        CELL_NAMES: the cells that it has.
        INPUTS: labels of the inputs of a cell, which are its states 0, 1, …; nodes follow.
    """

    CELL_NAMES: ClassVar[tuple[str, ...]]
    INPUTS: ClassVar[tuple[str, ...]]

    @abstractmethod
    def _cell(self, name: str) -> tuple[Cell, tuple[int, ...]]:
        """Returns nodes and output states of a cell of ``CELL_NAMES``."""

    @abstractmethod
    def to_json(self) -> str:
        """Returns the architecture as JSON text, which the class reads again."""

    def cell(self, name: str) -> tuple[Cell, tuple[int, ...]]:
        """Returns nodes and output states of the cell called ``name``.

        Raises:
            UserError: there is no such cell.
        """
        if name not in self.CELL_NAMES:
            raise UserError(f"cell {name!r} is unknown: choose from {', '.join(self.CELL_NAMES)}")
        return self._cell(name)

    def save(self, path: str | Path) -> None:
        """Writes :meth:`to_json` to ``path``."""
        Path(path).write_text(self.to_json() + "\n", encoding="utf-8")

    def to_dot(self, cell: str) -> str:
        """Returns Graphviz text of one cell, for ``dot -Tsvg``.

        Raises:
            UserError: there is no such cell.
        """
        nodes, outputs = self.cell(cell)
        lines = ["rankdir=LR;"]
        lines += [f'{i} [label="{label}", shape=box];' for i, label in enumerate(self.INPUTS)]
        first = len(self.INPUTS)
        lines += [f"{state} [shape=circle];" for state in range(first, first + len(nodes))]
        lines.append('output [label="output", shape=box];')
        for state, node in enumerate(nodes, start=first):
            lines += [f"{source} -> {state} [label={_quoted(name)}];" for name, source in node]
        lines += [f"{state} -> output [style=dashed];" for state in outputs]
        return f"digraph {cell} {{\n" + "".join(f"  {line}\n" for line in lines) + "}\n"


def read_text(name_or_path: str | Path, expected: str) -> str:
    """Returns the content of a file that a user named.

    Raises:
        UserError: there is no such file (it must be what ``expected`` says), or it holds no text.
    """
    if not os.path.isfile(name_or_path):
        raise UserError(f"genotype {str(name_or_path)!r} is neither {expected} nor a JSON file")
    try:
        return Path(name_or_path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{name_or_path}: {error}") from error


def _quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
