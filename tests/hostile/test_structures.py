"""Structures of any shape in place of those that a file should hold: taken, or refused by ValueError."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanas_pl.config import DataConfig, EvaluationConfig, InnerConfig, NASConfig, from_plain
from metanas_pl.data.store.identity import checked
from metanas_pl.data.store.table import _table
from metanas_pl.engine.space_factory import complete
from metanas_pl.search_spaces.genotypes.genotype import Genotype

KEYS = (
    "normal reduce normal_concat reduce_concat builder channels n_cells reductions genotype primitives "
    "source root weights n_ways augment options steps adapt stores mean std image_shape classes shape meta"
).split()
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
values = st.recursive(
    scalars | st.sampled_from(["conv_3x3", "a.b", "train", 0, 1]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=8,
)
trees = st.dictionaries(st.sampled_from(KEYS), values, max_size=4)


def schema(kind: Any) -> Callable[[Any], Any]:
    return lambda tree: from_plain(kind, tree)


READERS = {
    "genotype": Genotype.from_dict,
    "space": complete,
    "identities": checked,
    "data": schema(DataConfig),
    "evaluation": schema(EvaluationConfig),
    "inner": schema(InnerConfig),
    "nas": schema(NASConfig),
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@given(tree=trees | values)
def test_any_structure(read: Callable[[Any], Any], tree: Any) -> None:
    with suppress(ValueError):
        read(tree)


@given(tree=trees)
def test_the_table_of_a_store(tree: Any) -> None:
    with suppress(ValueError, LookupError, TypeError):  # which its reader turns into the first
        _table(tree)
