"""Shapes are checked in the tests: a wrong one is refused, and every letter has its word in the legend."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import jaxtyping
import pytest
import torch
from beartype.roar import BeartypeCallHintViolation
from torch import Tensor

import metanas_pl
from metanas_pl.algorithms.heads import class_means
from metanas_pl.algorithms.inner_problem import Support
from metanas_pl.engine.metrics import pixel_nearest_neighbour
from tests import shapes
from tests.conftest import random_episode

ROOT = Path(metanas_pl.__file__).parent
FILES = sorted(
    file
    for room in shapes.ROOMS
    for file in ROOT.joinpath(*room.split(".")[1:]).rglob("*.py")
    if "from jaxtyping import" in file.read_text()
)
SUFFIX = r"\b[a-z][a-z_]*_([A-Z]{1,6})\b"
"""The shape of a tensor in its name, as in ``weight_EO``."""

SUFFIXED = sorted(f for f in ROOT.rglob("*.py") if re.search(SUFFIX, f.read_text()))
Refused = BeartypeCallHintViolation


def test_a_wrong_shape_is_refused() -> None:
    features, labels = torch.zeros(4, 3), torch.zeros(4, dtype=torch.long)
    assert class_means(features, labels, 2).shape == (2, 3)
    with pytest.raises(Refused, match="labels"):
        class_means(features, labels[:3], 2)
    with pytest.raises(Refused, match="features"):
        class_means(features[0], labels, 2)
    with pytest.raises(Refused, match="labels"):
        class_means(features, labels.float(), 2)


def test_a_wrong_result_is_refused() -> None:
    def transposed(x: jaxtyping.Float[Tensor, "B N"]) -> jaxtyping.Float[Tensor, "B N"]:
        return x.T

    checked = shapes.checked(transposed, globals())
    assert checked(torch.zeros(2, 2)).shape == (2, 2)
    with pytest.raises(Refused, match="return"):
        checked(torch.zeros(2, 3))


def test_fields_of_named_tuples_and_protocols_fit_each_other() -> None:
    rows = torch.zeros(1, 4, dtype=torch.long)
    support = Support(torch.zeros(4, 1, 2, 2), rows[0], rows, rows)
    assert support.train(0).x.shape == (4, 1, 2, 2)
    with pytest.raises(Refused):
        support._replace(y=rows[0, :3]).train(0)
    episode = random_episode()
    assert pixel_nearest_neighbour(episode).shape == (3,)
    with pytest.raises(Refused):
        pixel_nearest_neighbour(episode._replace(query_y=episode.query_y[:, :1]))


def test_shapes_are_those_of_one_task_under_vmap_and_second_derivatives() -> None:
    features = torch.randn(5, 4, 3)
    labels = torch.tensor([[0, 0, 1, 1]]).expand(5, -1)

    def loss(x: Tensor, y: Tensor) -> Tensor:
        return class_means(x, y, 2).square().sum()

    curvature = torch.func.vmap(torch.func.jacrev(torch.func.grad(loss)))(features, labels)
    assert curvature.shape == (5, 4, 3, 4, 3)
    with pytest.raises(Refused):
        torch.func.vmap(torch.func.grad(loss))(features, labels[:, :3])


def _dimensions(tree: ast.AST) -> set[str]:
    """The letters in the shapes of a file, or of a function."""
    subscripts = (node for node in ast.walk(tree) if isinstance(node, ast.Subscript))
    texts = (
        node.slice.elts[1].value
        for node in subscripts
        if isinstance(node.value, ast.Name) and node.value.id in shapes.SHAPES
        if isinstance(node.slice, ast.Tuple) and isinstance(node.slice.elts[1], ast.Constant)
    )
    words = {word.lstrip("*") for text in texts for word in str(text).split()}
    return {word for word in words if re.fullmatch(r"[A-Za-z]+", word)}


@pytest.mark.parametrize("file", SUFFIXED, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_shape_suffix_is_explained(file: Path) -> None:
    suffixes = re.findall(SUFFIX, file.read_text())
    legend = (ast.get_docstring(ast.parse(file.read_text())) or "").partition("Shapes:")[2]
    unknown = {d for d in "".join(suffixes) if not re.search(rf"\b{d}\b", legend)}
    assert not unknown, f"{file} does not say what {', '.join(sorted(unknown))} are"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_letter_is_explained_and_every_function_checked(file: Path) -> None:
    tree = ast.parse(file.read_text())
    legend = (ast.get_docstring(tree) or "").partition("Shapes:")[2]
    unknown = [d for d in _dimensions(tree) if len(d) == 1 and not re.search(rf"\b{d}\b", legend)]
    assert not unknown, f"{file} does not say what {', '.join(unknown)} are"

    name = ".".join(("metanas_pl", *file.relative_to(ROOT).with_suffix("").parts))
    module = importlib.import_module(name)
    functions = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name[0] != "_"]
    shaped = [f.name for f in functions if _dimensions(f)]
    assert all(hasattr(getattr(module, name), "__wrapped__") for name in shaped)
