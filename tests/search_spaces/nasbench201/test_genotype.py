"""Architecture strings of NAS-Bench-201: round trips, all of them, and what is refused."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from metanas_pl.search_spaces.nasbench201.genotype import (
    EXAMPLE,
    OPERATIONS,
    Nasbench201Genotype,
    all_genotypes,
)


def test_the_enumeration_is_complete_and_distinct() -> None:
    texts = [str(genotype) for genotype in all_genotypes()]
    assert len(texts) == len(set(texts)) == 15_625
    assert texts[-1] == "+".join(
        "".join(f"|avg_pool_3x3~{j}" for j in range(i)) + "|" for i in (1, 2, 3)
    )


def test_strings_and_files_round_trip(tmp_path: Path) -> None:
    for genotype in islice(all_genotypes(), 0, None, 499):
        assert Nasbench201Genotype.from_text(str(genotype)) == genotype
        genotype.save(tmp_path / "genotype.json")
        assert Nasbench201Genotype.load(tmp_path / "genotype.json") == genotype
        assert Nasbench201Genotype.load(str(genotype)) == genotype


def test_a_string_of_the_benchmark_by_hand() -> None:
    text = "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|none~2|"
    genotype = Nasbench201Genotype.from_text(text)
    assert genotype.operations == (
        ("avg_pool_3x3",),
        ("nor_conv_1x1", "skip_connect"),
        ("nor_conv_1x1", "skip_connect", "none"),
    )
    nodes, outputs = genotype.cell("cell")
    assert nodes[1] == (("nor_conv_1x1", 0), ("skip_connect", 1))
    assert outputs == (3,)
    dot = genotype.to_dot("cell")
    assert '0 [label="input", shape=box];' in dot
    assert '1 -> 2 [label="skip_connect"];' in dot
    assert dot.count("->") == 6 + 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("|", r"nodes of 1, 2 and 3 edges, not \[1\]"),
        (EXAMPLE.replace("none", "conv_9x9"), "'conv_9x9' is unknown: choose from none, skip"),
        (EXAMPLE.replace("~2", "~1"), "is not of the form"),
        (EXAMPLE + "|", "is not of the form"),
        (EXAMPLE + "\n", r"edges, not \[1, 2, 4\]"),
        ("nobody", r"'nobody' is neither an architecture string \(\|nor_conv"),
        ("|" + "x" * 5000, r"edges, not \[1\]"),
    ],
)
def test_other_texts_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Nasbench201Genotype.load(text)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "3",
        "null",
        '{"nasbench201": 3}',
        '{"nasbench201": "|none~0|"}',
        "[" * 100_000,
    ],
)
def test_other_files_are_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_text(content)
    with pytest.raises(ValueError, match="bad.json"):
        Nasbench201Genotype.load(path)


def test_five_operations_in_the_order_of_the_benchmark() -> None:
    assert OPERATIONS == ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
    with pytest.raises(ValueError, match="choose from cell"):
        Nasbench201Genotype.from_text(EXAMPLE).cell("normal")
