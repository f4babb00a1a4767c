"""Files of a run folder: what is wrong in them is told with the name of the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import controls, run_folder


@pytest.mark.parametrize(
    "text",
    ["", "[1]", "{}", '{"x": "1"}', '{"x": NaN}', '{"x": true}', "[" * 10**5, '{"x": 1e999}'],
)
def test_results(tmp_path: Path, text: str) -> None:
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(ValueError, match=r"results\.json has no number 'x'"):
        run_folder.figure(tmp_path, "x")


@pytest.mark.parametrize(
    "text", ["", "a\n1\n", "accuracy\n", "accuracy\nx\n", "accuracy\nnan\n", "accuracy\n5\n"]
)
def test_rows(tmp_path: Path, text: str) -> None:
    (tmp_path / "episodes_test.csv").write_text(text)
    with pytest.raises(ValueError, match=r"episodes_test\.csv"):
        run_folder.accuracies(tmp_path)


LAUGHS = "a: &a [0]\n" + "".join(
    f"{k}: &{k} [*{j}, *{j}, *{j}]\n"
    for j, k in zip("abcdefghijklmno", "bcdefghijklmnop", strict=True)
)


@pytest.mark.parametrize(
    "text", ["", "- 1", "a: [", LAUGHS, "a: !!python/object/apply:os.getcwd []"]
)
def test_configuration(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"config\.yaml is damaged"):
        run_folder.configuration(tmp_path)


def test_a_command_tells_it_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in controls.FILES_OF_A_RUN:
        (tmp_path / name).write_text("a: [")
    with pytest.raises(SystemExit) as stopped:
        controls.main([str(tmp_path)])
    error = capsys.readouterr().err
    assert stopped.value.code == 2 and len(error.splitlines()) == 1 and "config.yaml" in error
