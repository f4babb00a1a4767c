"""What is found below a folder, whatever lies there."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from PIL import Image

from metanas_pl.data.datasets.folder_listing import Listing, list_images
from metanas_pl.errors import UserError


def tree(root: Path, *names: str) -> Path:
    """Files of these names; what they hold is not read."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def found(listing: Listing, root: Path) -> set[str]:
    places = []
    for parts, files in listing.images.items():
        places += [str(file.relative_to(root)) for file in files]
        assert all(file.relative_to(root).parts[:-1] == parts for file in files)
    assert len(set(places)) == len(places)
    return set(places)


def test_images_at_any_depth_in_order(tmp_path: Path) -> None:
    root = tree(tmp_path, "b/2.png", "b/1.JPG", "a/x/y/3.webp", "a/4.tiff")
    listing = list_images(root)
    assert list(listing.images) == [("a",), ("a", "x", "y"), ("b",)]
    assert [file.name for file in listing.images["b",]] == ["1.JPG", "2.png"]
    assert listing.left_out == {} and listing.lines() == []


def test_a_file_without_a_known_suffix_is_an_image_by_its_content(tmp_path: Path) -> None:
    for name in ("a/photo", "a/scan.xyz"):
        tree(tmp_path, name)
        Image.new("RGB", (3, 3)).save(tmp_path / name, "PNG")
    tree(tmp_path, "a/BMW.txt", "a/labels.csv", "a/LICENSE")
    (tmp_path / "a/BMW.txt").write_text("BMW" * 30)  # begins as a BMP does
    (tmp_path / "a/empty").touch()
    listing = list_images(tmp_path)
    assert found(listing, tmp_path) == {"a/photo", "a/scan.xyz"}
    (names,) = listing.left_out.values()
    assert names == ["a/BMW.txt", "a/LICENSE", "a/empty", "a/labels.csv"]


def test_what_people_take_for_images_is_not_passed_over(tmp_path: Path) -> None:
    root = tree(tmp_path, "a/1.heic", "a/2.SVG", "a/3.tga")
    assert found(list_images(root), root) == {"a/1.heic", "a/2.SVG", "a/3.tga"}


def test_links_are_followed_and_circles_are_not(tmp_path: Path) -> None:
    outside = tree(tmp_path / "outside", "1.png", "deep/2.png")
    root = tree(tmp_path / "root", "a/3.png")
    (root / "linked").symlink_to(outside)
    (root / "a" / "4.png").symlink_to(outside / "1.png")
    (root / "a" / "up").symlink_to("..")
    (outside / "back").symlink_to(root)  # a circle through another folder
    (root / "a" / "self.png").symlink_to("self.png")
    (root / "a" / "gone.png").symlink_to("gone")
    (root / "gone").symlink_to("nowhere")
    listing = list_images(root)
    assert found(listing, root) == {"a/3.png", "a/4.png", "linked/1.png", "linked/deep/2.png"}
    assert listing.left_out == {
        "broken links": ["gone", "a/gone.png", "a/self.png"],
        "links back to a folder above": ["a/up", "linked/back"],
    }


def test_a_root_that_is_a_link(tmp_path: Path) -> None:
    tree(tmp_path / "real", "a/1.png")
    (tmp_path / "root").symlink_to("real")
    assert found(list_images(tmp_path / "root"), tmp_path / "root") == {"a/1.png"}


def test_pipes_sockets_and_devices_are_not_opened(tmp_path: Path) -> None:
    root = tree(tmp_path, "a/1.png")
    os.mkfifo(root / "a" / "fifo.png")
    (root / "a" / "zero.png").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(root / "a" / "s"))
        listing = list_images(root)
    assert listing.left_out == {"pipes, sockets or devices": ["a/fifo.png", "a/s", "a/zero.png"]}


def test_folders_without_images_are_named_by_the_topmost(tmp_path: Path) -> None:
    root = tree(tmp_path, "a/1.png", "labels/x/y/1.txt", "labels/2.txt")
    (root / "a" / "void").mkdir()
    listing = list_images(root)
    assert listing.left_out["folders without images"] == ["a/void", "labels"]


def test_thousands_are_counted_and_three_are_named(tmp_path: Path) -> None:
    root = tree(tmp_path, "a/1.png", *(f"a/{k:04}.txt" for k in range(1200)))
    assert list_images(root).lines() == [
        "left out, files that are no images: 1,200 (a/0000.txt, a/0001.txt, a/0002.txt and 1,197 more)"
    ]


def test_a_folder_that_cannot_be_read_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, scandir = tree(tmp_path, "a/1.png"), os.scandir

    def refusing(path: str) -> object:  # the tests may run as root, who may read all
        if path.endswith("/a"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(UserError, match="/a cannot be read: Permission denied"):
        list_images(root)
