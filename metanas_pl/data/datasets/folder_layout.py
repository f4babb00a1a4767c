"""Which folders of images are classes, and in which group and split each is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from metanas_pl.data.conversion.images import ClassFiles
from metanas_pl.data.datasets.folder_listing import Parts, printable, several
from metanas_pl.data.datasets.splitting import split_names
from metanas_pl.data.store.class_store import SPLITS
from metanas_pl.errors import UserError

LAYOUT = "<root>/<class>/<images> or <root>/{train,val,test}/<class>/<images>"
SPLIT_OF = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""Names of split folders, in small letters."""

Images = Mapping[Parts, Sequence[Path]]
"""Folder below the root to the images directly in it."""


class Layout(NamedTuple):
    """The classes, and what the user should know of how they were found, a line each."""

    classes: list[ClassFiles[Path]]
    notes: list[str]


def find_layout(images: Images, pool: bool = False) -> Layout:
    """Finds classes, groups and splits.

    A class is the topmost folder with images directly in it, with all that lies below; folders
    between it and the root, or the folder of its split, are its group. A folder around all is passed
    through. Without split folders 60 % of the classes are for training, 20 % each for validation
    and test, by a fixed permutation. If validation or test alone has no classes, it gets 20 % of those for
    training.

    Args:
        images: all images below the root.
        pool: put the images of a class in all split folders together, and split by class.

    Raises:
        UserError: the folders are laid out otherwise; the message says how.
    """
    images, loose = _unwrapped(images)
    splits = _split_folders(images)
    notes: list[str] = []
    trees = [(split, _below(images, name)) for name, split in splits.items()]
    if trees:
        beside = dict.fromkeys(parts[0] for parts in images if parts and parts[0] not in splits)
        _note(notes, "left out, folders beside those of the splits", list(beside))
        loose += [file.name for file in images.get((), ())]
    found: dict[tuple[str, Parts], list[Path]] = defaultdict(list)
    nested: list[str] = []
    for split, tree in trees or [("", images)]:
        loose += [file.name for file in tree.get((), ())]
        for parts, files in tree.items():
            if parts:
                place = _class_of(parts, tree)
                found["" if pool else split, place] += files
                nested += ["/".join(parts)] if parts != place else []
    _note(notes, "left out, images in no folder of a class", loose)
    _note(notes, "taken as part of the class above, folders", nested)
    places = [parts for _, parts in found]
    groups = _groups(places)
    if any(len(parts) == 1 for parts in places):
        _note(notes, "taken as groups of classes, for no image lies directly in them", groups)
    named = [_class(parts, split, files) for (split, parts), files in found.items()]
    return Layout(_with_splits(named, notes), notes)


def _below(images: Images, name: str) -> Images:
    """Returns what lies below the folder ``name``."""
    return {parts[1:]: files for parts, files in images.items() if parts[:1] == (name,)}


def _note(notes: list[str], what: str, names: Sequence[str]) -> None:
    if names:
        notes.append(f"{what}: {several(names)}")


def _class(parts: Parts, split: str, files: Sequence[Path]) -> ClassFiles[Path]:
    *group, name = map(printable, parts)
    return ClassFiles(name, "/".join(group), split, files)


def _unwrapped(images: Images) -> tuple[Images, list[str]]:
    """Returns images below the only folder, if there is but one; and the images that lie around it."""
    loose: list[str] = []
    while len(names := {parts[0] for parts in images if parts}) == 1:
        name = names.pop()
        inner = _below(images, name)
        if () in inner or name.lower() in SPLIT_OF:
            break
        loose += [file.name for file in images.get((), ())]
        images = inner
    return images, loose


def _split_folders(images: Images) -> dict[str, str]:
    """Returns names of the split folders and their splits; none if the folders are classes.

    A single folder called ``train`` among others is a class.
    """
    names = dict.fromkeys(parts[0] for parts in images if parts)
    splits = {name: SPLIT_OF[name.lower()] for name in names if name.lower() in SPLIT_OF}
    have_classes = any(len(parts) > 1 and parts[0] in splits for parts in images)
    if splits and len(splits) == len(names) and not have_classes:
        raise UserError(
            f"{', '.join(splits)}: images lie directly in the folders of the splits, without a folder for "
            f"each class; expected {LAYOUT}"
        )
    if have_classes and (len(splits) > 1 or len(splits) == len(names)):
        return dict(sorted(splits.items(), key=lambda item: SPLITS.index(item[1])))
    return {}


def _class_of(parts: Parts, images: Images) -> Parts:
    """Returns the class that the images in folder ``parts`` belong to."""
    for n in range(1, len(parts)):
        if parts[:n] in images or _is_split_within(parts[:n], images):
            return parts[:n]
    return parts


def _is_split_within(folder: Parts, images: Images) -> bool:
    """Returns whether all folders in it are called as splits and hold images, as in ``cat/train/*``."""
    n = len(folder)
    inner = {parts[: n + 1] for parts in images if parts[:n] == folder and len(parts) > n}
    return all(parts[n].lower() in SPLIT_OF and parts in images for parts in inner)


def _groups(classes: Sequence[Parts]) -> list[str]:
    """Returns names of all groups.

    Raises:
        UserError: there are split folders among them.
    """
    groups = list(dict.fromkeys(parts[:-1] for parts in classes if len(parts) > 1))
    splits: dict[Parts, set[str]] = defaultdict(set)
    for group in groups:
        for n, name in enumerate(group):
            if name.lower() in SPLIT_OF:
                splits[group[:n]].add(SPLIT_OF[name.lower()])
    for above, inner in splits.items():
        if len(inner) > 1:
            place = printable("/".join(above))
            raise UserError(
                f"{place} has folders for {' and '.join(sorted(inner))}, and there are others beside it: "
                "name one such folder as data.root"
            )
    return ["/".join(group) for group in groups]


def _with_splits(classes: list[ClassFiles[Path]], notes: list[str]) -> list[ClassFiles[Path]]:
    """Returns classes with a split each; one without classes gets some."""
    if not any(item.split for item in classes):
        return _assigned(classes, ("val", "test"))
    _check_apart(classes)
    of_split = {split: [item for item in classes if item.split == split] for split in SPLITS}
    absent = [split for split in SPLITS if not of_split[split]]
    if "train" in absent:
        raise UserError(f"there are no classes for training; expected {LAYOUT}")
    if absent:
        of_split["train"] = _assigned(of_split["train"], absent)
        for split in absent:
            taken = [item.name for item in of_split["train"] if item.split == split]
            _note(notes, f"no classes in {split}, which gets some of those in train", taken)
    every = [item for items in of_split.values() for item in items]
    return sorted(every, key=lambda item: SPLITS.index(item.split))


def _assigned(classes: list[ClassFiles[Path]], held_out: Sequence[str]) -> list[ClassFiles[Path]]:
    try:
        names = split_names(len(classes), held_out)
    except UserError as error:
        raise UserError(f"{error}; expected {LAYOUT}") from error
    return [item._replace(split=split) for item, split in zip(classes, names, strict=True)]


def _check_apart(classes: Sequence[ClassFiles[Path]]) -> None:
    """Refuses classes that are in several splits, as data sets for ordinary classification have them."""
    splits: dict[tuple[str, str], list[str]] = defaultdict(list)
    for item in classes:
        splits[item.group, item.name].append(item.split)
    twice = {name: where for (_, name), where in splits.items() if len(where) > 1}
    if twice:
        where = sorted({split for found in twice.values() for split in found}, key=SPLITS.index)
        raise UserError(
            f"{' and '.join(where)} have the same classes: {several(list(twice))}. Few-shot splits are by "
            "class, so that test classes are new; data.options.pool=true puts the images of all splits "
            "together and splits by class"
        )
