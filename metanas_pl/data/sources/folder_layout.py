"""Which folders below a root are classes, of which split and group, and what is left out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from metanas_pl.data.sources.folder_listing import Skipped, few, shown
from metanas_pl.data.sources.splitting import split_names
from metanas_pl.data.store import SPLITS
from metanas_pl.errors import UserError

LAYOUT = "<root>/<class>/<images> or <root>/{train,val,test}/<class>/<images>"
SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""Names of split folders, in lower case."""


class FoundClass(NamedTuple):
    """A class: its name, group (empty for none), split, and files in order."""

    name: str
    group: str
    split: str
    files: list[Path]


class Layout(NamedTuple):
    """The classes below a root, and lines for the user about what was decided or left out."""

    classes: list[FoundClass]
    notes: list[str]


def find_layout(root: Path, pool: bool = False) -> Layout:
    """Find the classes below ``root``.

    A folder that holds images is a class, with all images below it; the folders above it, up to the root
    or to a folder for a split, name its group. A single folder that wraps all others is passed through.
    Without folders for the splits, 60 % of the classes are for training and 20 % each for validation and
    test, by a fixed permutation; a split without a folder gets 20 % of the training classes.

    Args:
        root: the folder.
        pool: classes of the same name in several splits are one class; the splits are drawn anew.

    Raises:
        UserError: there are too few classes, or one of them is in several splits.
    """
    skipped = Skipped(root)
    top, notes = _unwrapped(root, skipped)
    splits = _split_folders(top, skipped)
    found: list[FoundClass] = []
    if splits:
        for split, folder in splits.items():
            found += _classes(folder, split, skipped)
        beside = [f.name for f in skipped.folders(top) if f not in splits.values()]
        if beside:
            notes.append(f"left out, for they are beside the folders of the splits: {few(beside)}")
    else:
        found = _classes(top, "", skipped)
    loose = [file.name for folder in (top, *splits.values()) for file in skipped.images(folder)]
    if loose:
        notes.append(f"left out, in no folder of a class: {len(loose):,} ({few(loose)})")
    _check_nesting(root, found)
    if splits and pool:
        found = _pooled(found)
    elif splits:
        _check_apart(root, found)
        found = _with_all_splits(root, found, notes)
    if not splits or pool:
        found = _drawn(root, found)
    order = {split: k for k, split in enumerate(SPLITS)} if splits and not pool else {}
    found.sort(key=lambda c: (order.get(c.split, 0), c.group, c.name))
    return Layout(found, notes + skipped.lines())


def _unwrapped(root: Path, skipped: Skipped) -> tuple[Path, list[str]]:
    """The folder that holds the classes or splits: below ``root`` if that holds but one, without images."""
    top = root
    while len(folders := skipped.folders(top)) == 1 and not skipped.images(top):
        if skipped.images(folders[0]) or not skipped.folders(folders[0]):
            break
        top = folders[0]
    notes = (
        [] if top == root else [f"taken from its only folder {shown(str(top.relative_to(root)))}"]
    )
    return top, notes


def _split_folders(top: Path, skipped: Skipped) -> dict[str, Path]:
    """The folder of each split; a folder of such a name that holds images itself is a class."""
    splits: dict[str, Path] = {}
    for folder in skipped.folders(top):
        split = SPLIT_NAMES.get(folder.name.lower())
        if split is None or not skipped.folders(folder):
            continue
        if split in splits:
            raise UserError(
                f"data.root={top} has two folders for {split}: {splits[split].name}, {folder.name}"
            )
        splits[split] = folder
    return {split: splits[split] for split in SPLITS if split in splits}


def _classes(top: Path, split: str, skipped: Skipped) -> list[FoundClass]:
    """The classes below ``top``."""
    found = []
    for folder in skipped.folders(top):
        for place in _class_folders(folder, skipped):
            group = "/".join(map(shown, place.relative_to(top).parts[:-1]))
            files = list(_images_below(place, skipped))
            found.append(FoundClass(shown(place.name), group, split, files))
    return found


def _class_folders(folder: Path, skipped: Skipped) -> Iterator[Path]:
    """``folder`` if it holds images or nothing, else the class folders in it."""
    inner = skipped.folders(folder)
    if skipped.images(folder) or not inner:
        yield folder
    else:
        for place in inner:
            yield from _class_folders(place, skipped)


def _images_below(folder: Path, skipped: Skipped) -> Iterator[Path]:
    yield from skipped.images(folder)
    for inner in skipped.folders(folder):
        yield from _images_below(inner, skipped)


def _check_nesting(root: Path, found: Sequence[FoundClass]) -> None:
    """Refuse empty classes, and folders of splits within each class."""
    empty = [_label(c) for c in found if not c.files]
    if empty:
        raise UserError(f"data.root={root} has classes without images: {', '.join(empty)}")
    if found and all(c.group and c.name.lower() in SPLIT_NAMES for c in found):
        raise UserError(
            f"data.root={root} has folders for the splits within each class: few-shot splits are by class, "
            f"so put the images of a class together: {LAYOUT}"
        )


def _label(c: FoundClass) -> str:
    return "/".join(part for part in (c.group, c.name) if part)


def _check_apart(root: Path, found: Sequence[FoundClass]) -> None:
    """Refuse classes that are in several splits."""
    counts = Counter(_label(c) for c in found)
    twice = [name for name, n in counts.items() if n > 1]
    if twice:
        raise UserError(
            f"data.root={root} has {len(twice)} classes in several splits ({few(twice)}), but few-shot "
            "splits are by class: data.options.pool=true takes the images of each class together and "
            "splits the classes"
        )


def _pooled(found: Sequence[FoundClass]) -> list[FoundClass]:
    """Classes of the same name and group as one."""
    files: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for c in found:
        files[c.group, c.name] += c.files
    return [FoundClass(name, group, "", every) for (group, name), every in sorted(files.items())]


def _drawn(root: Path, found: Sequence[FoundClass]) -> list[FoundClass]:
    """Classes with splits by a fixed permutation."""
    try:
        names = split_names(len(found))
    except UserError as error:
        raise UserError(f"data.root={root}: {error}: {LAYOUT}") from error
    return [c._replace(split=split) for c, split in zip(found, names, strict=True)]


def _with_all_splits(root: Path, found: list[FoundClass], notes: list[str]) -> list[FoundClass]:
    """Classes of all splits: one without a folder gets some of the training classes, and a note says so."""
    there = {c.split for c in found}
    absent = [split for split in SPLITS if split not in there]
    if not absent:
        return found
    if "train" in absent:
        raise UserError(f"data.root={root} has no classes for training: {LAYOUT}")
    train = [c for c in found if c.split == "train"]
    if len(train) < len(SPLITS):
        raise UserError(
            f"data.root={root} has no classes in {', '.join(absent)}, and {len(train)} in train are too "
            f"few to take some of: {LAYOUT}"
        )
    drawn: Mapping[str, str] = {
        _label(c): split for c, split in zip(train, split_names(len(train)), strict=True)
    }
    for split in absent:
        n = sum(name == split for name in drawn.values())
        notes.append(
            f"no folder for {split}: {n} of the {len(train)} classes for training are in it"
        )
    return [
        c._replace(split=drawn[_label(c)])
        if c.split == "train" and drawn[_label(c)] in absent
        else c
        for c in found
    ]
