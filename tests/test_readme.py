"""README and docs: their code runs, their commands are understood, what they name exists."""

from __future__ import annotations

import re
import runpy
import shlex
import subprocess
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

import metanas_pl
from metanas_pl.cli import app, factories, train
from metanas_pl.cli.composing import understood
from metanas_pl.cli.data.main import COMMANDS, make_parser
from metanas_pl.cli.data.prepare import data_config
from tests.runs import SMALL_CELLS, compose, tiny

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
GROUPS = sorted(p.name for p in Path(app.CONFIG_DIR).iterdir() if p.is_dir())
OPEN_KEYS = ("data.options", "nas.options", "meta.options", "space", "hydra")
"""Keys below these are those of a function or a space."""


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def all_text() -> str:
    return "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text(page), re.S)


def commands(program: str) -> list[list[str]]:
    """Arguments of every command of ``program`` in an indented block of any page."""
    lines = re.findall(rf"^    {program}( .*?)?(?:  +#.*)?$", all_text(), re.M)
    return [shlex.split(line.replace("…", "x")) for line in lines]


# -- the first page ---------------------------------------------------------------------------


def test_the_readme_is_one_page() -> None:
    assert len(text("README.md").splitlines()) <= 150


def test_the_two_commands_are_found_by_ci() -> None:
    for name, start in ((r"\.", "pip install -e ."), (r'"\.\[dev\]"', 'pip install -e ".[dev]"')):
        pattern = rf"s/^    \(pip install -e {name} \&\& [^#]*[^# ]\) *#.*/\1/p"
        found = subprocess.run(
            ["sed", "-n", pattern, "README.md"], cwd=ROOT, capture_output=True, text=True
        )
        (line,) = found.stdout.splitlines()
        assert line.startswith(f"{start} && ")


def test_the_readme_uses_public_names_only() -> None:
    (code,) = blocks("README.md", "python")
    assert not re.findall(r"metanas_pl\.\w+", code)
    (names,) = re.findall(r"^from metanas_pl import (.*)$", code, re.M)
    assert set(names.split(", ")) <= set(metanas_pl.__all__)


def test_python_example_has_the_settings_of_the_main_job(tmp_path: Path) -> None:
    (code,) = blocks("README.md", "python")
    namespace: dict[str, Any] = {}
    exec(compile(code.partition("trainer = ")[0], "README.md", "exec"), namespace)
    module = namespace["module"]
    config = app.to_config(compose([f"run_dir={tmp_path}"]))
    main_job = factories.make_module(config)
    assert module.hparams == main_job.hparams
    values, expected = (
        {key: value for key, value in of.hparams.items() if key not in ("augment", "options")}
        for of in (namespace["data"], factories.make_datamodule(config))
    )
    assert values == expected
    assert f"max_steps={config.trainer['max_steps']}" in code


@pytest.mark.slow
def test_python_example(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*checkpoint.*directory.*")
    (code,) = blocks("README.md", "python")
    few = "max_steps=1, limit_val_batches=1, limit_test_batches=1"
    code = code.replace("max_steps=400", few)
    namespace: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), namespace)
    assert "normal: (" in capsys.readouterr().out
    assert namespace["trainer"].global_step == 1


# -- links and names --------------------------------------------------------------------------


def slug(heading: str) -> str:
    """The anchor that a heading gets."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), f"{page.name} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.M)
            assert anchor in map(slug, headings), f"{page.name} links to {target}"


def test_every_page_is_in_the_index() -> None:
    linked = set(re.findall(r"\]\((\w+\.md)\)", text("docs/README.md")))
    assert linked == {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}


def test_files_that_are_named_exist() -> None:
    places = "configs|tests|benchmarks|notebooks|docs|metanas_pl"
    named = re.findall(rf"`((?:{places})/[^`\s…*<]*)`", all_text())
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_map_of_folders_is_complete() -> None:
    """Every folder of the package has its line in the map, and every line its folder or file."""
    page = text("docs/architecture.md")
    (tree,) = re.findall(r"^    metanas_pl/\n((?:    .*\n)+)", page, re.M)
    named, parents = set(), [ROOT / "metanas_pl"]
    for line in tree.splitlines():
        depth = (len(line) - len(line.lstrip()) - 4) // 2
        for name in re.split(r",? +", line.strip().split("   ")[0]):
            path = parents[depth - 1] / name
            assert path.exists(), f"the map names {name}, which is not in {parents[depth - 1]}"
            named.add(path)
            parents[depth:] = [path]
    folders = {p.parent for p in (ROOT / "metanas_pl").rglob("*.py")} - {ROOT / "metanas_pl"}
    assert {str(f.relative_to(ROOT)) for f in folders - named} == set()


# -- commands and keys ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def config() -> DictConfig:
    return compose(["run_dir=here"])


def unknown(key: str, config: DictConfig) -> bool:
    """Whether there is no such key in the configuration."""
    if key.startswith(OPEN_KEYS) or key in GROUPS:
        return False
    node: Any = config
    for part in key.split("."):
        if not OmegaConf.is_dict(node) or part not in node:
            return True
        node = node[part]
    return False


def test_keys_of_the_commands_exist(config: DictConfig) -> None:
    lines = commands("metanas-train") + commands("metanas-evaluate")
    assert len(lines) > 15
    for line in lines:
        for override in OverridesParser.create().parse_overrides(understood(line)):
            key, value = override.key_or_group, override.value()
            assert not unknown(key, config), key
            outside = any(word.startswith("hydra.searchpath") for word in line)
            if key in GROUPS and not outside:
                assert Path(app.CONFIG_DIR, key, f"{value}.yaml").exists(), f"{key}={value}"


def test_keys_in_the_text_exist(config: DictConfig) -> None:
    keys = re.findall(
        r"`((?:data|meta|nas|trainer|evaluation|callbacks)\.[a-z_.0-9]+)(?:=[^`]*)?`", all_text()
    )
    assert len(keys) > 20
    assert [key for key in keys if unknown(key, config)] == []


def test_methods_are_those_of_the_configuration() -> None:
    for group in ("meta", "nas", "space"):
        (row,) = re.findall(rf"^\| `{group}=` \| (.*) \|$", text("docs/methods.md"), re.M)
        files = {path.stem for path in Path(app.CONFIG_DIR, group).glob("*.yaml")}
        assert set(re.findall(r"`(\w+)`", row)) == files


def test_data_commands_are_understood() -> None:
    lines = commands("metanas-data")
    assert {line[0] for line in lines} == set(COMMANDS)
    for line in lines:
        args = make_parser().parse_args(line)
        assert not hasattr(args, "settings") or data_config(args.name, args.settings)


# -- the pages on extending and contributing --------------------------------------------------


def test_own_nas_method() -> None:
    from metanas_pl.algorithms.inner_optimizers import sgd
    from metanas_pl.algorithms.inner_problem import Batch, InnerProblem, Objective, Pass

    namespace: dict[str, Any] = {}
    exec(blocks("docs/extend.md", "python")[0], namespace)

    def loss(w: Any, mixing: Any, batch: Batch) -> torch.Tensor:
        return (w["w"] * mixing["a"] ** 2).sum()

    weights, alphas = {"w": torch.tensor(3.0)}, {"a": torch.tensor(2.0)}
    objective = Objective(lambda alphas, temperature, noise: alphas, loss)
    one_pass = Pass(objective, Batch(torch.zeros(1), torch.zeros(1)), 1.0, {})
    problem = InnerProblem(one_pass, one_pass, weights, alphas, sgd(0.1), ())
    assert namespace["on_training_batch"](problem)["a"] == 12.0


def test_own_package(images: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """The blocks of the page, written to the files that they name, run by its command."""
    (command,) = [line for line in commands("metanas-train") if "hydra.searchpath" in str(line)]
    for language in ("python", "yaml"):
        for block in blocks("docs/extend.md", language):
            if named := re.match(r"# (my_methods/\S+)\n", block):
                (tmp_path / named[1]).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / named[1]).write_text(block, encoding="utf-8")
    for folder in ("my_methods", "my_methods/configs"):
        (tmp_path / folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    options = tiny(images, tmp_path / "run")
    options = [o for o in options if o not in SMALL_CELLS]
    config = compose([*options, *command])
    assert (config.nas.name, config.meta.name) == ("on_training_batch", "hard_tasks")
    assert config.space.builder == "my_methods.space.build"
    results = train.run(config)
    n_parameters = 4 * (1 + 4) * (1 + 9 + 25) + 2 * 3 * 8 + 3 * 4 + 3  # convolutions, norms, head
    assert results["test/parameters_mean"] == n_parameters
    assert results["train/outer_steps"] == 2


@pytest.mark.slow
def test_a_change_of_numerics_is_found(images: Path, tmp_path: Path) -> None:
    """The comparison of CONTRIBUTING.md: the same seed is equal to itself, another one is not."""
    namespace: dict[str, Any] = {}
    exec(blocks("CONTRIBUTING.md", "python")[0], namespace)
    for name, seed in (("before", 0), ("after", 0), ("other", 1)):
        train.run(compose([*tiny(images, tmp_path / name), f"seed={seed}"]))
    namespace["check"](tmp_path / "before", tmp_path / "after")
    with pytest.raises(AssertionError):
        namespace["check"](tmp_path / "before", tmp_path / "other")


# -- files beside them ------------------------------------------------------------------------


def test_citation_and_changelog_know_the_version() -> None:
    citation = yaml.safe_load(text("CITATION.cff"))
    assert citation["version"] == metanas_pl.__version__
    assert citation["license"] in text("LICENSE")
    assert f"## [{metanas_pl.__version__}]" in text("CHANGELOG.md")


def test_the_figure_of_the_method_is_drawn_by_its_script(tmp_path: Path) -> None:
    draw = runpy.run_path(str(ROOT / "docs/images/method.py"))["draw"]
    draw(tmp_path / "method.svg")
    drawn, kept = (
        re.findall(r"<!-- (.*?) -->", path.read_text(encoding="utf-8"))
        for path in (tmp_path / "method.svg", ROOT / "docs/images/method.svg")
    )
    assert drawn == kept and "Outer loop" in kept
