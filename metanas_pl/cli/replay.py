"""``metanas-replay``: how one episode is learned, inner step by inner step."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from metanas_pl.cli import app
from metanas_pl.cli.composing import compose_checked
from metanas_pl.cli.console import make_printable
from metanas_pl.cli.errors import ShowVersions
from metanas_pl.cli.evaluate import as_trained, load, named_checkpoint
from metanas_pl.config import check, check_choice
from metanas_pl.errors import UserError
from metanas_pl.training.checkpointing.resume import steps_of

if TYPE_CHECKING:
    from torch import Tensor

    from metanas_pl.engine.episode_problem import EpisodeProblem, PreparedBatch
    from metanas_pl.module import MetaNASModule
    from metanas_pl.types import Alphas, Episodes, Params, Theta

SPLITS = ("train", "val", "test")
GROUPS = ("data", "evaluation")
HELP = (
    "ckpt_path=FILE, a checkpoint or the folder of a run; episode=N, the number of the episode, of "
    "training counted through all epochs as in skipped_episodes.csv; split=train (default), val or test; "
    "and data.KEY=VALUE and evaluation.KEY=VALUE as metanas-evaluate takes them"
)
Row = dict[str, float]
COLUMNS = {
    "step": ("inner\nstep", "d"),
    "temperature": ("\nT", ".3g"),
    "loss": ("batch\nloss", ".4f"),
    "weight_norm": ("gradient\nweights", ".3g"),
    "alpha_norm": ("gradient\nalphas", ".3g"),
    "support_loss": ("support\nloss", ".4f"),
    "support_accuracy": ("support\naccuracy", ".1%"),
    "query_loss": ("query\nloss", ".4f"),
    "query_accuracy": ("query\naccuracy", ".1%"),
    "entropy": ("mixing\nentropy", ".3f"),
}
"""Key of a row, its heading and its format."""


def run(settings: Sequence[str]) -> list[Row]:
    """Replays the episode that ``KEY=VALUE`` words name, prints the table and returns its rows.

    Raises:
        UserError: a word that makes no sense, or no such checkpoint or episode.
    """
    ours, overrides = parse(settings)
    asked = app.to_config(compose_checked(["run_dir=.", *overrides]), trains=False)
    asked.ckpt_path = ours["ckpt_path"] = named_checkpoint(ours["ckpt_path"], ".")
    config = as_trained(asked, overrides)
    module, datamodule = load(config)
    split, number = ours["split"], int(ours["episode"])
    batch = datamodule.batch_of(split, number)
    rows = steps(module, prepared(module, batch, split, ours["ckpt_path"]), split)
    print_table(rows, f"episode {number} of {split}, {module.nas.name} + {module.meta.name}")
    return rows


def parse(settings: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Returns ``ckpt_path``, ``episode`` and ``split``; and the overrides of the configuration.

    >>> parse(["episode=3", "ckpt_path=a.ckpt", "data.root=b"])
    ({'split': 'train', 'episode': '3', 'ckpt_path': 'a.ckpt'}, ['data.root=b'])
    """
    ours, overrides = {"split": "train"}, []
    for word in settings:
        key, equals, value = word.partition("=")
        if key in ("ckpt_path", "episode", "split"):
            ours[key] = value
        elif equals and key.partition(".")[0] in GROUPS:
            overrides.append(word)
        else:
            raise UserError(f"{word}: metanas-replay takes {HELP}")
    for key in ("ckpt_path", "episode"):
        if key not in ours:
            raise UserError(f"{key} is missing: metanas-replay ckpt_path=FILE episode=N")
    check(ours["episode"].isdecimal(), "episode", ours["episode"], "give a whole number")
    check_choice("split", ours["split"], SPLITS)
    return ours, overrides


def prepared(module: MetaNASModule, batch: Episodes, split: str, ckpt_path: str) -> PreparedBatch:
    """Returns the episode as training, or as a test, learns it after the outer steps of the checkpoint."""
    from metanas_pl.types import OuterProgress

    learner, theta, mask = module.learner, module.theta(), module.mask()
    if split != "train":
        seed, plan = module.eval_seed, module.evaluation
        return learner.in_test(theta, batch, seed=seed, mask=mask, plan=plan)
    done = steps_of(app.read_checkpoint(ckpt_path))
    progress = OuterProgress(done, module.total_steps, module.meta.outer.warm_up_steps)
    return learner.in_training(theta, batch, seed=module.seed, mask=mask, progress=progress)


def steps(module: MetaNASModule, batch: PreparedBatch, split: str) -> list[Row]:
    """Returns a row for the start and one after each inner step.

    ``loss`` is that of the step's batch where the step begins, ``weight_norm`` and ``alpha_norm`` are norms
    of its gradient; the other figures are of the point that the step reaches.
    """
    from metanas_pl.engine.task_batch import task

    norm = module.meta.query_norm if split == "train" else "inductive"
    problem = batch.problem(task(batch.tasks, 0), query_norm=norm)
    problem, theta, _ = module.learner.take_set(problem, module.theta())
    point = problem.start(theta)
    rows = [{"step": 0, **_figures(problem, point, 0)}]
    for step, adapted in enumerate(problem.inner_steps(theta)):
        row = {"step": step + 1, "temperature": problem.loop.schedule.temperatures[step]}
        row |= _gradient(problem, point, step)
        point = adapted.theta
        rows.append(row | _figures(problem, point, step + 1))
    return rows


def _figures(problem: EpisodeProblem, point: Theta, step: int) -> Row:
    """Returns the loss and accuracy on support and query set, and entropy, at one point."""
    import torch.nn.functional as F

    from metanas_pl.algorithms.nas.relaxations import entropy
    from metanas_pl.engine.metrics import episode_accuracy

    weights, mixing = problem.at(point, step)
    support = problem.task.support
    sets = {
        "support": (problem.network.logits(weights, mixing, support.whole()), support.y),
        "query": (problem.query_logits(weights, mixing), problem.task.query_y),
    }
    row = {"entropy": float(entropy(mixing))}
    for name, (logits, y) in sets.items():
        row[f"{name}_loss"] = float(F.cross_entropy(logits, y))
        row[f"{name}_accuracy"] = float(episode_accuracy(logits, y))
    return row


def _gradient(problem: EpisodeProblem, point: Theta, step: int) -> Row:
    """Returns the loss of the batch of a step, and norms of its gradient with respect to what adapts."""
    import torch

    from metanas_pl.algorithms.inner_problem import Pass

    loop = problem.loop
    frozen, temperature = loop.weights_at(point, step), loop.schedule.temperatures[step]
    objective, batch = problem.network.objective(), problem.task.support.train(step)
    one_pass = Pass(objective, batch, temperature, frozen)
    weights = {k: w for k, w in point.weights.items() if loop.adapts(k)}
    moving = {"weight": weights, "alpha": point.alphas if loop.schedule.moves_alphas(step) else {}}
    alphas = moving["alpha"]

    def loss(weights: Params, adapting: Alphas) -> Tensor:
        return one_pass.loss(weights, {**point.alphas, **adapting})

    row = {"loss": float(loss(weights, alphas))}
    for position, (name, params) in enumerate(moving.items()):
        if params:
            gradient = torch.func.grad(loss, argnums=position)(weights, alphas)
            row[f"{name}_norm"] = math.hypot(*(float(g.norm()) for g in gradient.values()))
    return row


def print_table(rows: Sequence[Row], title: str) -> None:
    """Prints the rows as one table."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=0)
    for heading, _ in COLUMNS.values():
        table.add_column(heading, justify="right")
    for row in rows:
        cells = [format(row[k], how) if k in row else "" for k, (_, how) in COLUMNS.items()]
        table.add_row(*cells)
    Console().print(table)


def main(arguments: Sequence[str] | None = None) -> None:
    """Console script."""
    parser = argparse.ArgumentParser("metanas-replay", description=__doc__)
    parser.add_argument("--version", action=ShowVersions, nargs=0)
    parser.add_argument("settings", metavar="KEY=VALUE", nargs="*", help=HELP)
    make_printable()
    settings = parser.parse_args(arguments).settings
    app.register_schemas()
    app.with_short_errors(lambda: run(settings))


if __name__ == "__main__":
    main()
