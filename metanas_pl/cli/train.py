"""``metanas-train``: meta-train an architecture with its weights, test it, report."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from metanas_pl.cli import app
from metanas_pl.config import Config, check
from metanas_pl.errors import AFTER_SIGNAL, RunFailed
from metanas_pl.kernels.library import processor
from metanas_pl.training.checkpointing.resume import choose_checkpoint, steps_of
from metanas_pl.training.ranks import is_first_process, naming_lost_ranks, of_all_ranks
from metanas_pl.training.run_folder import check_free, held

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from metanas_pl.cli.report import Results
    from metanas_pl.data.datamodule import EpisodeDataModule
    from metanas_pl.module import MetaNASModule

FIXED = {
    **{key: key for key in ("space", "nas", "meta", "image_shape", "n_ways")},
    "eval_seed": "data.eval_seed",  # of other validation episodes another checkpoint would be the best
}
"""Hyper-parameters that stay while a training goes on, and what messages call them."""
ANOTHER_PROCESSOR = "on another kind of processor the same seed may give another one"


def run(cfg: DictConfig | Config) -> Results:
    """Meta-trains, tests the best checkpoint, writes the run folder; returns the results.

    Raises:
        UserError: a configuration that makes no sense, or a run folder that is in use or holds another run.
        SystemExit: after Ctrl-C (code 130), SIGTERM (143) or SIGUSR1 (138); ``last.ckpt`` is then saved.
        RunFailed: no space is left, or the tasks give no finite meta-gradients any more.
    """
    config = cfg if isinstance(cfg, Config) else app.to_config(cfg)
    with held(config.run_dir):
        config.ckpt_path, config.resume = choose_checkpoint(config), None
        check_free(config.run_dir, config.ckpt_path)
        return train_and_test(config)


def train_and_test(config: Config) -> Results:
    """Trains and tests in a run folder that no other run uses; returns the results."""
    import pytorch_lightning as pl

    from metanas_pl.cli.factories import make_datamodule, make_module, opened
    from metanas_pl.cli.summary import describe
    from metanas_pl.cli.trainer import begin_logging, make_trainer
    from metanas_pl.training.checkpointing.checkpoint import going_on_from
    from metanas_pl.training.finite import naming

    run_dir = app.make_run_dir(config)
    pl.seed_everything(config.seed, verbose=False)
    with make_trainer(config, run_dir) as trainer, naming_lost_ranks(trainer):
        datamodule, module = opened(make_datamodule(config)), make_module(config)
        begin_logging(trainer, config)
        if trainer.is_global_zero:
            print(describe(config, module))
        first_step = steps_done(config, module)
        if config.ckpt_path is not None and trainer.is_global_zero:
            print(f"resumes after outer step {first_step}: {config.ckpt_path}")
        begin, cpu_begin = time.perf_counter(), time.process_time()

        def at_hand() -> str:
            return f"the weights after outer step {trainer.global_step}"

        with going_on_from(config.ckpt_path), naming(at_hand):
            trainer.fit(module, datamodule, ckpt_path=config.ckpt_path, weights_only=True)
        seconds = time.perf_counter() - begin
        stop_if_interrupted(trainer, run_dir)
        steps = trainer.global_step - first_step
        training = {
            "train/seconds": seconds,
            "train/cpu_seconds": sum(of_all_ranks([time.process_time() - cpu_begin])),
            "train/outer_steps": trainer.global_step,
            "train/compiled": float(processor() is not None),
            "train/episodes_per_second": steps * datamodule.n_tasks_per_step / seconds,
        }
        best = best_checkpoint(trainer)
        training |= best_score(trainer)
        with naming(lambda: at_hand() if best is None else f"ckpt_path={best}"):
            return test(trainer, module, datamodule, config, run_dir, best, training)


def steps_done(config: Config, module: MetaNASModule) -> int:
    """Returns outer steps behind ``ckpt_path``; 0 without one.

    Raises:
        ValueError: it was trained with another network.
    """
    if config.ckpt_path is None:
        return 0
    checkpoint = app.read_checkpoint(config.ckpt_path)
    for key, name in FIXED.items():
        then, now = (_what(h[key]) for h in (checkpoint["hyper_parameters"], module.hparams))
        check(then == now, "ckpt_path", config.ckpt_path, f"it was trained with {name}={then}")
    before, now = checkpoint.get("compiled_for", processor()), processor()
    if before != now and is_first_process():
        print(
            f"note: the cells were compiled for {before or 'no processor'} and are now for "
            f"{now or 'none'}: the last digits of single precision will differ"
        )
    return steps_of(checkpoint)


def _what(hyper_parameter: object) -> object:
    """Returns settings of what is computed, without those of how, which may change in a run."""
    if not isinstance(hyper_parameter, dict):
        return hyper_parameter
    return {k: v for k, v in hyper_parameter.items() if k not in ("backend", "chunk_size")}


def test(
    trainer: pl.Trainer,
    module: MetaNASModule,
    datamodule: EpisodeDataModule,
    config: Config,
    run_dir: Path,
    ckpt_path: str | None,
    training: Results,
) -> Results:
    """Tests on the fixed list of test episodes and reports; returns the results.

    They are on the disk before a logger hears of them or a line is printed.

    Raises:
        RunFailed: a logger or a picture failed afterwards; the files are whole.
    """
    from pytorch_lightning.callbacks import LambdaCallback

    from metanas_pl.cli import report

    begin = time.perf_counter()
    results: Results = {}

    def keep(trainer: pl.Trainer, _: pl.LightningModule) -> None:
        rows = module.gathered_test_rows()
        results.update(report.summarize(rows) | training)
        results["test/seconds"] = time.perf_counter() - begin
        results.update({"seed": config.seed, "eval_seed": config.data.eval_seed})
        results.update(report.of_the_module(module))
        results.update(report.of_the_data(datamodule.store) | report.environment())
        if trainer.is_global_zero:
            report.write(run_dir, results, rows)

    trainer.callbacks.append(  # type: ignore[attr-defined]
        LambdaCallback(on_test_epoch_end=keep)
    )
    try:
        trainer.test(module, datamodule, ckpt_path=ckpt_path, verbose=False, weights_only=True)
        report.log(trainer, results)
    except Exception as error:
        if not results or isinstance(error, RunFailed):
            raise
        why = f"{type(error).__name__}: {error}"
        raise RunFailed(
            f"after the test a logger or a picture failed ({why}); the results are in {run_dir}"
        ) from error
    finally:
        if results and trainer.is_global_zero:
            report.print_table(results, title(config, module))
            if (genotype := module.genotype()) is not None:
                print(f"meta-genotype ({ANOTHER_PROCESSOR})\n{genotype}")
            print(f"written to {run_dir}")
    return results


def title(config: Config, module: MetaNASModule) -> str:
    """Returns one line that says what was tested, and when the result can only be chance."""
    data, adapt = config.data, module.evaluation.adapt
    empty = module.meta.head == "zero" and adapt in ("alphas", "nothing")
    eval_seed = f"data.eval_seed {data.eval_seed}, " if data.eval_seed else ""
    return (
        f"{data.episodes_in_words()}, {module.nas.name} + {module.meta.name}, "
        f"seed {config.seed}, {eval_seed}evaluation.adapt={adapt}"
        f"{' (the empty head stays empty: chance)' if empty else ''}"
    )


def best_checkpoint(trainer: pl.Trainer) -> str | None:
    """Returns the path of the best checkpoint; None (the present weights) if none was kept."""
    return getattr(trainer.checkpoint_callback, "best_model_path", None) or None


def best_score(trainer: pl.Trainer) -> Results:
    """Returns what the best checkpoint reached in validation, as a result; nothing if none was compared."""
    score = getattr(trainer.checkpoint_callback, "best_model_score", None)
    return {} if score is None else {app.OBJECTIVE: float(score)}


def stop_if_interrupted(trainer: pl.Trainer, run_dir: Path) -> None:
    """After a signal, says how to resume and exits.

    Its code is that of rank 0: a launcher takes that of another for a crash, and kills rank 0 as well.
    """
    from metanas_pl.training.callbacks import GracefulInterrupt

    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    interrupts = [c for c in callbacks if isinstance(c, GracefulInterrupt)]
    received = max((c.received for c in interrupts), default=0)
    if received:
        if trainer.is_global_zero:
            last = run_dir / "checkpoints" / "last.ckpt"
            name = signal.Signals(received).name
            print(f"\nstopped by {name} after outer step {trainer.global_step}; saved {last}")
            print(f"resume with the same options and ckpt_path={last}")
        raise SystemExit(AFTER_SIGNAL + received if trainer.is_global_zero else 0)


def main() -> None:
    """Console script."""
    app.main(run)


if __name__ == "__main__":
    main()
