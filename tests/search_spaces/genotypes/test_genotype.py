"""Genotypes: published tables, round trips, and refusal of everything malformed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanas_pl.search_spaces.genotypes.genotype import PUBLISHED, Genotype
from metanas_pl.search_spaces.ops.primitives import BUILDERS

NAMES = ["metanas_v1", "metanas_in_v2", "metanas_og_v2", "auto_meta"]
TINY = Genotype(normal=((("conv_3x3", 0),),), reduce=((("skip_connect", 1),),))


@st.composite
def genotypes(draw: st.DrawFn) -> Genotype:
    fields: dict[str, Any] = {}
    for name in ("normal", "reduce"):
        n_nodes = draw(st.integers(1, 5))
        fields[name] = tuple(
            tuple(
                draw(
                    st.lists(
                        st.tuples(st.text(min_size=1, max_size=8), st.integers(0, i + 1)),
                        min_size=1,
                        max_size=3,
                    )
                )
            )
            for i in range(n_nodes)
        )
        states = st.sampled_from(range(2, n_nodes + 2))
        fields[f"{name}_concat"] = tuple(draw(st.lists(states, unique=True)))
    return Genotype(**fields)


@given(genotypes())
def test_json_and_dict_round_trips(genotype: Genotype) -> None:
    assert Genotype.from_json(genotype.to_json()) == genotype
    assert Genotype.from_dict(genotype.to_dict()) == genotype
    assert hash(Genotype.from_json(genotype.to_json())) == hash(genotype)


def test_published_genotypes_are_those_of_the_table() -> None:
    assert list(PUBLISHED)[:4] == NAMES
    in_v2 = PUBLISHED["metanas_in_v2"]
    assert in_v2.normal == (
        (("conv_1x5_5x1", 0), ("conv_3x3", 1)),
        (("conv_3x3", 0), ("sep_conv_3x3", 2)),
        (("dil_conv_3x3", 1), ("conv_1x5_5x1", 3)),
    )
    assert str(PUBLISHED["metanas_og_v2"]) == (
        "normal: (dil_conv_3x3,0)(sep_conv_3x3,1) | (avg_pool_3x3,0)(sep_conv_3x3,1)"
        " | (conv_1x5_5x1,0)(conv_3x3,2)\n"
        "reduce: (skip_connect,0)(sep_conv_3x3,1) | (conv_3x3,0)(dil_conv_3x3,1)"
        " | (dil_conv_3x3,0)(conv_1x5_5x1,2)"
    )
    assert str(PUBLISHED["metanas_v1"]) == (
        "normal: (conv_3x3,0)(conv_3x3,1) | (conv_1x5_5x1,0)(dil_conv_3x3,2)"
        " | (conv_1x5_5x1,0)(max_pool_3x3,3)\n"
        "reduce: (dil_conv_3x3,0)(sep_conv_3x3,1) | (conv_3x3,0)(max_pool_3x3,1)"
        " | (dil_conv_3x3,2)(conv_1x5_5x1,3)"
    )
    auto_meta = PUBLISHED["auto_meta"]
    assert auto_meta.normal == auto_meta.reduce
    assert auto_meta.normal[0] == (("conv_3x3", 1), ("max_pool_3x3", 1))
    assert auto_meta.normal[4] == (("conv_1x5_5x1", 3), ("conv_3x3", 2))
    assert [PUBLISHED[name].n_nodes for name in NAMES] == [3, 3, 3, 5]


def test_published_darts_cells_have_two_inputs_to_each_of_four_nodes() -> None:
    """DARTS_V2, node by node, as genotypes.py of quark0/darts lists its genes."""
    flat = [gene for node in PUBLISHED["darts_v2"].normal for gene in node]
    assert flat == [
        ("sep_conv_3x3", 0),
        ("sep_conv_3x3", 1),
        ("sep_conv_3x3", 0),
        ("sep_conv_3x3", 1),
        ("sep_conv_3x3", 1),
        ("skip_connect", 0),
        ("skip_connect", 0),
        ("dil_conv_3x3", 2),
    ]
    for name in set(PUBLISHED) - set(NAMES):
        for cell in (PUBLISHED[name].normal, PUBLISHED[name].reduce):
            assert [len(node) for node in cell] == [2, 2, 2, 2]
            assert all(primitive in BUILDERS for node in cell for primitive, _ in node)


def test_text_round_trips() -> None:
    for genotype in PUBLISHED.values():
        assert Genotype.from_text(str(genotype)) == genotype
    with pytest.raises(ValueError, match="reduce node 0"):
        Genotype.from_text("normal: (conv_3x3,0)")


def test_outputs_default_to_all_nodes() -> None:
    assert PUBLISHED["auto_meta"].normal_concat == (2, 3, 4, 5, 6)
    chosen = Genotype(PUBLISHED["auto_meta"].normal, TINY.reduce, normal_concat=(6, 4))
    assert (chosen.normal_concat, chosen.reduce_concat) == ((6, 4), (2,))


@pytest.mark.parametrize("name", NAMES)
def test_save_and_load(name: str, tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    Genotype.load(name).save(path)
    assert Genotype.load(path) == Genotype.load(str(path)) == PUBLISHED[name]
    assert len(path.read_text().splitlines()) == 8 + 2 * PUBLISHED[name].n_nodes


@pytest.mark.parametrize("name", ["metanas_v9", "", "x" * 5000, "a\0b"])
def test_load_lists_the_names(name: str) -> None:
    with pytest.raises(ValueError, match="metanas_v1, metanas_in_v2, metanas_og_v2, auto_meta"):
        Genotype.load(name)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"{", b"[]"])
def test_load_names_a_bad_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="bad.json"):
        Genotype.load(path)


HOSTILE = [
    "",
    "null",
    "3",
    "NaN",
    '"metanas_v1"',
    "[]",
    "{}",
    "[" * 100_000,
    '{"normal": ' * 50_000,
    "__import__('os').system('true')",
    "Genotype(normal=[], reduce=[])",
    '{"normal": [], "reduce": []}',
    '{"normal": "__import__(\'os\')", "reduce": [[["conv_3x3", 0]]]}',
    '{"normal": {"0": 1}, "reduce": [[["conv_3x3", 0]]]}',
    '{"normal": [[["conv_3x3", 0]]], "normal": [[["conv_3x3", 1]]], "reduce": [[["c", 0]]]}',
    '{"normal": [[["conv_3x3", 0]]], "reduce": [[["conv_3x3", 0]]], "__class__": "os"}',
    '{"normal": [[["conv_3x3", 0]]], "reduce": [[["conv_3x3", 0]]], "reduce_concat": [9]}',
    '{"normal": [[["conv_3x3", 0]]], "reduce": [[["conv_3x3", 1%s]]]}' % ("0" * 5000),
    '{"normal": [[["conv_3x3", 0]]], "reduce": %s}' % ("[" * 900 + "]" * 900),
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_json_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Genotype.from_json(text)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["normal", "reduce", "normal_concat", "x"]), JSON_VALUES))
def test_any_json_gives_a_genotype_or_a_value_error(data: dict[str, Any]) -> None:
    try:
        genotype = Genotype.from_json(json.dumps(data))
    except ValueError:
        return
    assert Genotype.from_json(genotype.to_json()) == genotype


def with_gene(gene: Any) -> Callable[[], Genotype]:
    return lambda: Genotype(normal=(TINY.normal[0], (("conv_3x3", 0), gene)), reduce=TINY.reduce)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (with_gene(("conv_3x3", 3)), r"normal node 1: the input in \('conv_3x3', 3\) .* 0\.\.2"),
        (with_gene(("conv_3x3", -1)), r"0\.\.2"),
        (with_gene(("conv_3x3", True)), r"0\.\.2"),
        (with_gene(("conv_3x3", 1.0)), r"0\.\.2"),
        (with_gene((7, 1)), "primitive name"),
        (with_gene(("", 1)), "primitive name"),
        (with_gene(("conv_3x3",)), "primitive name"),
        (with_gene("conv_3x3"), "a pair"),
        (lambda: Genotype(normal=((),), reduce=TINY.reduce), "normal node 0"),
        (lambda: Genotype(normal=TINY.normal, reduce=()), "reduce"),
        (lambda: Genotype(TINY.normal, TINY.reduce, (2, 2)), "normal_concat.*distinct"),
        (lambda: Genotype(TINY.normal, TINY.reduce, (), (0,)), r"reduce_concat.*2\.\.2"),
        (lambda: Genotype(TINY.normal, TINY.reduce, (), 2), "reduce_concat"),  # type: ignore
        (lambda: Genotype.from_dict([]), "mapping"),  # type: ignore[arg-type]
        (lambda: Genotype.from_dict({"normal": TINY.normal, "x": 1}), r"\['reduce'\].*\['x'\]"),
    ],
)
def test_messages_say_what_is_wrong_and_where(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_dot_has_every_edge_and_escapes_names() -> None:
    text = PUBLISHED["auto_meta"].to_dot("reduce")
    assert text.startswith("digraph reduce {\n")
    assert text.count("->") == 10 + 5
    assert '1 -> 2 [label="max_pool_3x3"];' in text
    odd = Genotype(normal=((('a"b\\', 0),),), reduce=TINY.reduce)
    assert '[label="a\\"b\\\\"]' in odd.to_dot("normal")
    with pytest.raises(ValueError, match="normal, reduce"):
        odd.to_dot("both")
