"""Every command line prints on any console: what its encoding lacks is replaced."""

from __future__ import annotations

import codecs
import io
import sys
from pathlib import Path
from typing import Any

import pytest

from metanas_pl.cli import app, console, report
from metanas_pl.cli.factories import make_module
from metanas_pl.cli.summary import describe
from tests.runs import compose, execute, tiny

ENCODINGS = ["cp1252", "cp932", "gbk", "ascii"]
RESULTS: dict[str, Any] = {
    **{f"test/{name}": 0.5 for name in ("accuracy", "accuracy_pruned", "accuracy_transductive")},
    **{f"test/{n}_ci95": 0.1 for n in ("accuracy", "accuracy_pruned", "accuracy_transductive")},
    **{
        f"test/{name}_{which}": 12345.0
        for name in ("parameters", "flops")
        for which in ("mean", "min", "max")
    },
    "test/distinct_genotypes": 1,
    "test/n_episodes": 3,
}


def strict_stream(
    encoding: str, monkeypatch: pytest.MonkeyPatch, name: str = "stdout"
) -> io.TextIOWrapper:
    """Let ``sys.stdout`` be a stream of this encoding, and make it printable."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")
    monkeypatch.setattr(sys, name, stream)
    console.make_printable()
    return stream


def printed(stream: io.TextIOWrapper) -> str:
    stream.flush()
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue().decode(stream.encoding)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_header(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = strict_stream(encoding, monkeypatch)
    config = app.to_config(
        compose(["space.channels=4", "run_dir=here", "nas=gdas", "nas.t_max=0.3"])
    )
    print(describe(config, make_module(config)))
    assert "T 0.3 " in printed(stream)
    assert "0.05 (geometric)" in printed(stream)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("columns", ["30", "120"])
def test_the_table_of_results(columns: str, encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = strict_stream(encoding, monkeypatch)
    monkeypatch.setenv("COLUMNS", columns)
    report.print_table(RESULTS, "größe → Ελληνικά")
    text = printed(stream)
    for part in ("relaxed", "50.00", "10.00"):
        assert part in text


def test_what_is_missing_has_a_stand_in() -> None:
    assert "0.3 → 0.02 ± ✓ é".encode("ascii", console.HANDLER) == b"0.3 -> 0.02 +- ok ?"
    assert "→é".encode("cp1252", console.HANDLER) == b"->\xe9"
    with pytest.raises(UnicodeDecodeError):
        codecs.decode(b"\xff", "utf-8", console.HANDLER)


def test_a_name_that_is_no_text_at_all_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file name of other bytes than UTF-8 comes with surrogates."""
    stream = strict_stream("utf-8", monkeypatch, "stderr")
    print("caf\udce9 ✓", file=sys.stderr)
    assert printed(stream) == "caf? ✓\n"


def test_streams_that_cannot_be_changed_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no stdout in pythonw, and one of its own in a notebook."""
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    console.make_printable()


@pytest.mark.nightly
@pytest.mark.parametrize(
    "env",
    [
        {"PYTHONIOENCODING": "ascii", "TERM": "dumb"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "NO_COLOR": "1"},
    ],
)
def test_a_whole_training(images: Path, env: dict[str, str], tmp_path: Path) -> None:
    """With the progress bar, in 30 columns, and with its results at the end."""
    options = tiny(images, tmp_path / "run")
    options = [o for o in options if "progress" not in o]
    done = execute("train", options, tmp_path, COLUMNS="30", **env)
    assert done.returncode == 0, done.stderr
    assert "relaxed" in done.stdout and "meta-genotype" in done.stdout
    assert (tmp_path / "run" / "results.json").is_file()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_data_commands(images: Path, encoding: str, tmp_path: Path) -> None:
    from metanas_pl.cli.data.main import main

    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")
    prepare = ["prepare", "folder", f"root={images}", "image_size=12"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        patch.setenv("METANAS_DATA", str(tmp_path / "cache"))
        for command in (prepare, ["list"], ["verify", "folder"]):
            with pytest.raises(SystemExit) as stopped:
                main(command)
            assert not stopped.value.code
    text = printed(stream)
    assert "12x12" in text and "  ok " in text
