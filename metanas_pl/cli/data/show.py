"""``metanas-data show``: the images of one episode as a PNG."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from metanas_pl.cli.data.names import (
    add_settings,
    add_store_argument,
    chosen_stores,
    default_sampling,
    open_store,
)
from metanas_pl.data.episodes.composition import CHOICES
from metanas_pl.data.store.class_store import SPLITS
from metanas_pl.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from metanas_pl.data.episodes.dataset import EpisodeDataset

HELP = "write a picture of one episode: its support and query images, class by class"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds NAME, and which episode."""
    add_store_argument(parser)
    add_settings(parser)
    parser.add_argument("--split", choices=SPLITS, default="train", help="default: train")
    parser.add_argument("--ways", type=int, default=5, help="classes (default: 5)")
    parser.add_argument(
        "--shots", type=int, default=1, help="support images per class (default: 1)"
    )
    parser.add_argument(
        "--queries", type=int, default=5, help="query images per class (default: 5)"
    )
    parser.add_argument("--index", type=int, default=0, help="number of the episode (default: 0)")
    parser.add_argument(
        "--sampling",
        choices=CHOICES["sampling"],
        help="classes of the whole split or of one group (default: as in training)",
    )
    parser.add_argument("--output", type=Path, help="file to write, .png or .svg")


def run(args: argparse.Namespace) -> int:
    """Draws the episode and prints where the picture is."""
    found = chosen_stores(args.name, args.settings)
    if len(found) > 1:
        keys = ", ".join(cached.key for cached in found)
        raise UserError(f"{args.name} is there {len(found)} times, name one: {keys}")
    store = open_store(found[0])
    if min(args.shots, args.queries) < 1 or args.index < 0:
        raise UserError("--shots and --queries must be at least 1, --index at least 0")

    from metanas_pl.data.episodes.dataset import EpisodeDataset
    from metanas_pl.plotting import save_figure

    dataset = EpisodeDataset(
        store,
        args.split,
        args.ways,
        args.shots,
        args.queries,
        n_episodes=args.index + 1,
        seed=0,
        sampling=args.sampling or default_sampling(found[0].source),
    )
    output = args.output or Path(f"{found[0].key}-{args.split}-{args.index}.png")
    save_figure(draw_episode(dataset, args.index), output)
    print(f"written to {output}")
    return 0


def draw_episode(dataset: EpisodeDataset, index: int) -> Figure:
    """Returns a contact sheet of episode ``index`` of a dataset."""
    from metanas_pl.data.episodes.pictures import episode_pictures
    from metanas_pl.plotting import draw_contact_sheet

    classes, support, query = episode_pictures(dataset, index)
    shots, queries = (_how_many([len(images) for images in block]) for block in (support, query))
    where = f"{dataset.store.meta.name}, {dataset.split} split, episode {index}"
    return draw_contact_sheet(
        support,
        query,
        [info.name for info in classes],
        f"{where}: {len(classes)}-way {shots}-shot, queries per class: {queries}",
        [info.group for info in classes],
        dataset.store.meta.ink_is_one,
    )


def _how_many(counts: list[int]) -> str:
    least, most = min(counts), max(counts)
    return f"{least}" if least == most else f"{least} to {most}"
