"""Genotypes: discrete cell pairs, their JSON and text, and the published ones.

States of a cell are numbered as in DARTS: 0 and 1 are the outputs of the cells two and one before,
node ``i`` is state ``i + 2``. A genotype is plain data; reading one never evaluates code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from metanas_pl.errors import UserError
from metanas_pl.search_spaces.genotypes.architecture import Architecture, read_text
from metanas_pl.search_spaces.genotypes.genes import (
    Cell,
    brief,
    cell_from_text,
    cell_text,
    checked_cell,
    checked_concat,
)
from metanas_pl.search_spaces.genotypes.published import GENOTYPE_TEXTS

CELL_TYPES = ("normal", "reduce")
_FIELDS = ("normal", "reduce", "normal_concat", "reduce_concat")


@dataclass(frozen=True)
class Genotype(Architecture):
    """A normal and a reduction cell with discrete choices (DARTS; MetaNAS, section 4).

    Args:
        normal: for each node of the normal cell its genes ``(primitive, input)``.
        reduce: the same for the reduction cell, which may have another number of nodes.
        normal_concat: states that form the output of the normal cell; empty means all its nodes.
        reduce_concat: the same for the reduction cell.

    Raises:
        UserError: a cell or node is empty, a primitive is not a name, or an input or output is not
            a state that exists at that place.

    >>> cell = [[("conv_3x3", 0), ("skip_connect", 1)], [("max_pool_3x3", 0), ("conv_3x3", 2)]]
    >>> genotype = Genotype(normal=cell, reduce=cell[:1])
    >>> print(genotype)
    normal: (conv_3x3,0)(skip_connect,1) | (max_pool_3x3,0)(conv_3x3,2)
    reduce: (conv_3x3,0)(skip_connect,1)
    >>> genotype.normal_concat
    (2, 3)
    """

    CELL_NAMES: ClassVar[tuple[str, ...]] = CELL_TYPES
    INPUTS: ClassVar[tuple[str, ...]] = ("cell k-2", "cell k-1")

    normal: Cell
    reduce: Cell
    normal_concat: tuple[int, ...] = ()
    reduce_concat: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in CELL_TYPES:
            cell = checked_cell(getattr(self, name), name)
            outputs = checked_concat(getattr(self, f"{name}_concat"), f"{name}_concat", len(cell))
            object.__setattr__(self, name, cell)
            object.__setattr__(self, f"{name}_concat", outputs)

    @property
    def n_nodes(self) -> int:
        """Nodes of the normal cell."""
        return len(self.normal)

    def _cell(self, name: str) -> tuple[Cell, tuple[int, ...]]:
        return getattr(self, name), getattr(self, f"{name}_concat")

    def to_dict(self) -> dict[str, list]:
        """Returns lists, strings and integers only, as JSON and YAML hold them.

        >>> PUBLISHED["metanas_v1"].to_dict()["normal"][0]
        [['conv_3x3', 0], ['conv_3x3', 1]]
        """
        cells = {
            name: [[list(g) for g in node] for node in self.cell(name)[0]] for name in CELL_TYPES
        }
        return cells | {f"{name}_concat": list(self.cell(name)[1]) for name in CELL_TYPES}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Genotype:
        """Returns the inverse of :meth:`to_dict`; ``normal_concat`` and ``reduce_concat`` may be left out.

        Raises:
            UserError: keys are missing or unknown, or a value does not fit.

        >>> Genotype.from_dict(PUBLISHED["auto_meta"].to_dict()) == PUBLISHED["auto_meta"]
        True
        """
        if not isinstance(data, Mapping):
            raise UserError(f"a genotype is a mapping, not {brief(data)}: give {_FIELDS}")
        missing = [key for key in CELL_TYPES if key not in data]
        unknown = [key for key in data if key not in _FIELDS]
        if missing or unknown:
            raise UserError(
                f"genotype has missing keys {missing} and unknown keys {brief(unknown)}: "
                f"give {', '.join(_FIELDS)} (the last two are optional)"
            )
        return cls(**data)

    def to_json(self) -> str:
        """Returns the compact JSON with one node per line.

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
        """Reads :meth:`to_json`.

        Raises:
            UserError: the text is not JSON, or not a genotype.

        >>> Genotype.from_json(PUBLISHED["metanas_v1"].to_json()) == PUBLISHED["metanas_v1"]
        True
        """
        try:
            data = json.loads(text, object_pairs_hook=_without_duplicates)
        except RecursionError:
            raise UserError("genotype is not readable: its JSON is nested too deeply") from None
        except json.JSONDecodeError as error:
            raise UserError(f"genotype is not JSON: {error}") from None
        return cls.from_dict(data)

    @classmethod
    def from_text(cls, text: str) -> Genotype:
        """Reads ``str(genotype)``; the output is made of all nodes.

        Raises:
            UserError: there are no two cells in the text.

        >>> str(Genotype.from_text("normal: (a,0)(b,1) | (a,2) reduce: (c,1)"))
        'normal: (a,0)(b,1) | (a,2)\\nreduce: (c,1)'
        """
        normal, _, reduce = text.partition("reduce:")
        return cls(cell_from_text(normal), cell_from_text(reduce))

    @classmethod
    def load(cls, name_or_path: str | Path) -> Genotype:
        """Returns a published genotype by name, or one read from a JSON file.

        Raises:
            UserError: neither a published name nor a file, or the file holds no genotype.

        >>> Genotype.load("auto_meta").n_nodes
        5
        """
        if str(name_or_path) in PUBLISHED:
            return PUBLISHED[str(name_or_path)]
        text = read_text(name_or_path, f"a published name ({', '.join(PUBLISHED)})")
        try:
            return cls.from_json(text)
        except ValueError as error:
            raise UserError(f"{name_or_path}: {error}") from error

    def __str__(self) -> str:
        return "\n".join(f"{name}: {cell_text(self.cell(name)[0])}" for name in CELL_TYPES)


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(dict(pairs)) < len(pairs):
        raise UserError(f"genotype has a key twice: {brief([key for key, _ in pairs])}")
    return dict(pairs)


PUBLISHED: dict[str, Genotype] = {
    name: Genotype.from_text(text) for name, text in GENOTYPE_TEXTS.items()
}
"""Genotypes of MetaNAS, Auto-Meta, DARTS, PC-DARTS, P-DARTS and Auto-MAML."""
