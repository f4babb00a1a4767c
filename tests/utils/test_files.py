"""Files that a crash leaves whole, tables that can be cut back, and a full disk."""

from __future__ import annotations

import csv
import errno
import os
from pathlib import Path
from typing import Any

import pytest

from metanas_pl.errors import RunFailed
from metanas_pl.utils import files
from metanas_pl.utils.files import RowsFile, open_whole, write_whole


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_rows_and_columns_are_added(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("left,over\n1,2\n")
    file = RowsFile(tmp_path / "rows.csv")
    file.append([{"b": 1, "a": 2}])
    file.append([{"a": 3}, {"b": 4}])
    assert read(file.path) == [{"a": "2", "b": "1"}, {"a": "3", "b": ""}, {"a": "", "b": "4"}]
    file.append([{"c": "x, y"}])
    assert read(file.path)[0] == {"a": "2", "b": "1", "c": ""}
    assert read(file.path)[3] == {"a": "", "b": "", "c": "x, y"}
    assert file.n_rows == 4


def test_rows_of_an_earlier_run_are_kept_up_to_a_number(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n1,2\n3,4\n5,6\n7")  # killed in the middle of a row
    file = RowsFile(path)
    file.cut(2)
    file.append([{"a": 8, "b": 9}])
    assert path.read_text().split() == ["a,b", "1,2", "3,4", "8,9"]
    file.cut(0)
    file.append([{"d": 1}])
    assert read(path) == [{"d": "1"}]
    missing = RowsFile(tmp_path / "missing.csv")
    missing.cut(5)
    missing.append([{"e": 1}])
    assert read(missing.path) == [{"e": "1"}]


def test_rows_are_read_up_to_the_cut_and_no_further(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n1,2\n" + "x" * 200_000)  # longer than the longest field of a CSV file
    RowsFile(path).cut(1)
    assert read(path) == [{"a": "1", "b": "2"}]


def test_a_disk_that_is_full_only_when_rows_are_added_or_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = RowsFile(tmp_path / "rows.csv")
    file.append([{"a": 1}])

    def fail(_: int) -> None:
        raise OSError(errno.EDQUOT, "over quota")

    with monkeypatch.context() as quota, pytest.raises(RunFailed, match=f"{file.path}.*quota"):
        quota.setattr(files.os, "fsync", fail)
        file.sync()
    file.path.unlink()
    file.path.symlink_to("/dev/full")
    with pytest.raises(RunFailed, match=f"{file.path}.*full"):
        file.append([{"a": 2}])


def test_what_does_not_come_to_its_end_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), open_whole(tmp_path / "file") as file:
        file.write(b"half")
        raise KeyError
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "told"), [(errno.ENOSPC, "disk is full"), (errno.EDQUOT, "quota"), (errno.EIO, "")]
)
def test_what_was_there_stays_when_writing_fails(
    number: int, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old")

    def fail(_: int) -> None:
        assert path.read_bytes() == b"old" and len(os.listdir(tmp_path)) == 2
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.os, "fsync", fail)
    expected: Any = RunFailed if told else OSError
    with pytest.raises(expected, match=f"{path}.*{told}" if told else None) as caught:
        write_whole(path, b"new")
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["file"]
