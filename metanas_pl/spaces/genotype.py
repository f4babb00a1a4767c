"""Genotypes: discrete cell pairs, their JSON and Graphviz text, and the published ones.

States of a cell are numbered as in DARTS: 0 and 1 are the outputs of the cells two and one before,
node ``i`` is state ``i + 2``. A genotype is plain data; reading one never evaluates code.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Gene = tuple[str, int]
"""A primitive and the state it is applied to."""

Cell = tuple[tuple[Gene, ...], ...]
"""The genes of each node."""

CELL_TYPES = ("normal", "reduce")
_FIELDS = ("normal", "reduce", "normal_concat", "reduce_concat")


@dataclass(frozen=True)
class Genotype:
    """A normal and a reduction cell with discrete choices (DARTS; MetaNAS, section 4).

    Args:
        normal: for each node of the normal cell its genes ``(primitive, input)``.
        reduce: the same for the reduction cell, which may have another number of nodes.
        normal_concat: states that form the output of the normal cell; empty means all its nodes.
        reduce_concat: the same for the reduction cell.

    Raises:
        ValueError: a cell or node is empty, a primitive is not a name, or an input or output is not
            a state that exists at that place.

    >>> cell = [[("conv_3x3", 0), ("skip_connect", 1)], [("max_pool_3x3", 0), ("conv_3x3", 2)]]
    >>> genotype = Genotype(normal=cell, reduce=cell[:1])
    >>> print(genotype)
    normal: (conv_3x3,0)(skip_connect,1) | (max_pool_3x3,0)(conv_3x3,2)
    reduce: (conv_3x3,0)(skip_connect,1)
    >>> genotype.normal_concat
    (2, 3)
    """

    normal: Cell
    reduce: Cell
    normal_concat: tuple[int, ...] = ()
    reduce_concat: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in CELL_TYPES:
            cell = _checked_cell(getattr(self, name), name)
            outputs = _checked_concat(getattr(self, f"{name}_concat"), f"{name}_concat", len(cell))
            object.__setattr__(self, name, cell)
            object.__setattr__(self, f"{name}_concat", outputs)

    @property
    def n_nodes(self) -> int:
        """Nodes of the normal cell."""
        return len(self.normal)

    def cell(self, name: str) -> tuple[Cell, tuple[int, ...]]:
        """Nodes and output states of the cell ``normal`` or ``reduce``.

        Raises:
            ValueError: there is no such cell.

        >>> PUBLISHED["metanas_v1"].cell("normal")[1]
        (2, 3, 4)
        """
        if name not in CELL_TYPES:
            raise ValueError(f"cell {name!r} is unknown: choose from {', '.join(CELL_TYPES)}")
        return getattr(self, name), getattr(self, f"{name}_concat")

    def to_dict(self) -> dict[str, Any]:
        """Lists, strings and integers only: what JSON and YAML hold.

        >>> PUBLISHED["metanas_v1"].to_dict()["normal"][0]
        [['conv_3x3', 0], ['conv_3x3', 1]]
        """
        cells = {
            name: [[list(g) for g in node] for node in self.cell(name)[0]] for name in CELL_TYPES
        }
        return cells | {f"{name}_concat": list(self.cell(name)[1]) for name in CELL_TYPES}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Genotype:
        """Inverse of :meth:`to_dict`; ``normal_concat`` and ``reduce_concat`` may be left out.

        Raises:
            ValueError: keys are missing or unknown, or a value does not fit.

        >>> Genotype.from_dict(PUBLISHED["auto_meta"].to_dict()) == PUBLISHED["auto_meta"]
        True
        """
        if not isinstance(data, Mapping):
            raise ValueError(f"a genotype is a mapping, not {_brief(data)}: give {_FIELDS}")
        missing = [key for key in CELL_TYPES if key not in data]
        unknown = [key for key in data if key not in _FIELDS]
        if missing or unknown:
            raise ValueError(
                f"genotype has missing keys {missing} and unknown keys {_brief(unknown)}: "
                f"give {', '.join(_FIELDS)} (the last two are optional)"
            )
        return cls(**data)

    def to_json(self) -> str:
        """Compact JSON with one node per line.

        >>> print(Genotype([[("conv_3x3", 0)], [("conv_3x3", 2)]], [[("conv_3x3", 1)]]).to_json())
        {
          "normal": [
            [["conv_3x3", 0]],
            [["conv_3x3", 2]]
          ],
          "reduce": [
            [["conv_3x3", 1]]
          ],
          "normal_concat": [2, 3],
          "reduce_concat": [2]
        }
        """
        data = self.to_dict()
        lines = []
        for name in CELL_TYPES:
            nodes = ",\n".join(f"    {json.dumps(node)}" for node in data[name])
            lines.append(f'  "{name}": [\n{nodes}\n  ]')
        lines += [f'  "{name}_concat": {data[f"{name}_concat"]}' for name in CELL_TYPES]
        return "{\n" + ",\n".join(lines) + "\n}"

    @classmethod
    def from_json(cls, text: str) -> Genotype:
        """Read :meth:`to_json`.

        Raises:
            ValueError: the text is not JSON, or not a genotype.

        >>> Genotype.from_json(PUBLISHED["metanas_v1"].to_json()) == PUBLISHED["metanas_v1"]
        True
        """
        try:
            data = json.loads(text, object_pairs_hook=_without_duplicates)
        except RecursionError:
            raise ValueError("genotype is not readable: its JSON is nested too deeply") from None
        except json.JSONDecodeError as error:
            raise ValueError(f"genotype is not JSON: {error}") from None
        return cls.from_dict(data)

    def save(self, path: str | Path) -> None:
        """Write :meth:`to_json` to ``path``."""
        Path(path).write_text(self.to_json() + "\n", encoding="utf-8")

    @classmethod
    def load(cls, name_or_path: str | Path) -> Genotype:
        """A published genotype by name, or one read from a JSON file.

        Raises:
            ValueError: neither a published name nor a file, or the file holds no genotype.

        >>> Genotype.load("auto_meta").n_nodes
        5
        """
        if str(name_or_path) in PUBLISHED:
            return PUBLISHED[str(name_or_path)]
        if not os.path.isfile(name_or_path):
            raise ValueError(
                f"genotype {str(name_or_path)!r} is neither a published name "
                f"({', '.join(PUBLISHED)}) nor a JSON file"
            )
        try:
            return cls.from_json(Path(name_or_path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{name_or_path}: {error}") from error

    def to_dot(self, cell: str) -> str:
        """Graphviz text of the cell ``normal`` or ``reduce``, for ``dot -Tsvg``.

        >>> print(PUBLISHED["metanas_v1"].to_dot("normal").splitlines()[8])
          0 -> 2 [label="conv_3x3"];
        """
        nodes, outputs = self.cell(cell)
        lines = [
            "rankdir=LR;",
            '0 [label="cell k-2", shape=box];',
            '1 [label="cell k-1", shape=box];',
        ]
        lines += [f"{state} [shape=circle];" for state in range(2, len(nodes) + 2)]
        lines.append('output [label="output", shape=box];')
        for state, node in enumerate(nodes, start=2):
            lines += [f"{source} -> {state} [label={_quoted(name)}];" for name, source in node]
        lines += [f"{state} -> output [style=dashed];" for state in outputs]
        return f"digraph {cell} {{\n" + "".join(f"  {line}\n" for line in lines) + "}\n"

    def __str__(self) -> str:
        return "\n".join(f"{name}: {_cell_text(self.cell(name)[0])}" for name in CELL_TYPES)


def _checked_cell(cell: Any, where: str) -> Cell:
    nodes = _sequence(cell, where, "a list of nodes")
    return tuple(
        tuple(
            _checked_gene(gene, f"{where} node {i}", n_states=i + 2)
            for gene in _sequence(node, f"{where} node {i}", "a list of (primitive, input)")
        )
        for i, node in enumerate(nodes)
    )


def _checked_gene(gene: Any, where: str, n_states: int) -> Gene:
    parts = _sequence(gene, where, "a pair (primitive, input)")
    if len(parts) != 2 or not isinstance(parts[0], str) or not parts[0]:
        raise ValueError(f"{where}: {_brief(gene)} must be a pair (primitive name, input)")
    if not _is_state(parts[1], 0, n_states):
        raise ValueError(f"{where}: the input in {_brief(gene)} must be one of 0..{n_states - 1}")
    return parts[0], parts[1]


def _checked_concat(outputs: Any, where: str, n_nodes: int) -> tuple[int, ...]:
    if isinstance(outputs, (list, tuple)) and not outputs:
        return tuple(range(2, n_nodes + 2))
    states = tuple(_sequence(outputs, where, "a list of states"))
    if not all(_is_state(s, 2, n_nodes + 2) for s in states) or len(set(states)) < len(states):
        raise ValueError(f"{where}: {_brief(outputs)} must be distinct nodes of 2..{n_nodes + 1}")
    return states


def _sequence(value: Any, where: str, expected: str) -> Sequence[Any]:
    if not isinstance(value, (list, tuple)) or not value:
        raise ValueError(f"{where}: {_brief(value)} must be {expected}, not empty")
    return value


def _is_state(value: Any, start: int, stop: int) -> bool:
    return type(value) is int and start <= value < stop


def _brief(value: Any) -> str:
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # too deep, or an integer of too many digits
        text = type(value).__name__
    return text if len(text) <= 60 else f"{text[:57]}..."


def _quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError(f"genotype has a key twice: {_brief([key for key, _ in pairs])}")
    return dict(pairs)


def _cell_text(cell: Cell) -> str:
    return " | ".join("".join(f"({name},{source})" for name, source in node) for node in cell)


def _cell_from_text(text: str) -> Cell:
    genes = (re.findall(r"\((\w+),(\d+)\)", node) for node in text.split("|"))
    return tuple(tuple((name, int(source)) for name, source in node) for node in genes)


def _published(normal: str, reduce: str) -> Genotype:
    return Genotype(_cell_from_text(normal), _cell_from_text(reduce))


_AUTO_META = (
    "(conv_3x3,1)(max_pool_3x3,1) | (conv_1x5_5x1,2)(max_pool_3x3,2) | (conv_3x3,2)(conv_1x5_5x1,3)"
    "| (conv_3x3,3)(conv_3x3,3) | (conv_1x5_5x1,3)(conv_3x3,2)"
)

PUBLISHED: dict[str, Genotype] = {
    "metanas_v1": _published(
        "(conv_3x3,0)(conv_3x3,1) | (conv_1x5_5x1,0)(dil_conv_3x3,2)"
        "| (conv_1x5_5x1,0)(max_pool_3x3,3)",
        "(dil_conv_3x3,0)(sep_conv_3x3,1) | (conv_3x3,0)(max_pool_3x3,1)"
        "| (dil_conv_3x3,2)(conv_1x5_5x1,3)",
    ),
    "metanas_in_v2": _published(
        "(conv_1x5_5x1,0)(conv_3x3,1) | (conv_3x3,0)(sep_conv_3x3,2)"
        "| (dil_conv_3x3,1)(conv_1x5_5x1,3)",
        "(sep_conv_3x3,0)(conv_3x3,1) | (conv_3x3,0)(sep_conv_3x3,2)| (conv_3x3,0)(dil_conv_3x3,1)",
    ),
    "metanas_og_v2": _published(
        "(dil_conv_3x3,0)(sep_conv_3x3,1) | (avg_pool_3x3,0)(sep_conv_3x3,1)"
        "| (conv_1x5_5x1,0)(conv_3x3,2)",
        "(skip_connect,0)(sep_conv_3x3,1) | (conv_3x3,0)(dil_conv_3x3,1)"
        "| (dil_conv_3x3,0)(conv_1x5_5x1,2)",
    ),
    "auto_meta": _published(_AUTO_META, _AUTO_META),
}
"""Genotypes of MetaNAS (github.com/boschresearch/metanas) and Auto-Meta (arXiv 1806.06927)."""
