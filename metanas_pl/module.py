"""The LightningModule: outer steps, evaluation and checkpoints of a meta-architecture."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from metanas_pl.algorithms.inner_optimizers import AdamState, States
from metanas_pl.config import (
    EvaluationConfig,
    MetaConfig,
    NASConfig,
    from_plain,
    plain,
)
from metanas_pl.config.compatibility import check_alpha_steps, check_strategy, check_temperatures
from metanas_pl.engine.arms import accuracies_of_arms
from metanas_pl.engine.episode_learner import EpisodeLearner
from metanas_pl.engine.evaluation import Evaluation
from metanas_pl.engine.inner_schedules import alphas_adapt
from metanas_pl.engine.metrics import EpisodeMean
from metanas_pl.engine.space_factory import build_space, complete
from metanas_pl.errors import UserError
from metanas_pl.kernels.library import processor
from metanas_pl.search_spaces.costs import KINDS, measure
from metanas_pl.training.checkpointing.checkpoint import FORMAT_VERSION
from metanas_pl.training.checkpointing.migration import with_buffers
from metanas_pl.training.checkpointing.resume import recount_batches
from metanas_pl.training.episode_records import (
    ACCURACIES,
    ARM,
    DECISIONS,
    GAINS,
    gains,
    gathered,
    rows_of,
)
from metanas_pl.training.finite import check_finite
from metanas_pl.training.gradient_injection import InjectGradient
from metanas_pl.training.meta_architecture import MetaArchitecture
from metanas_pl.training.outer_optimizer import check_end, make_outer_optimizer
from metanas_pl.training.rate_schedules import fraction_of_time, learning_rate_factor
from metanas_pl.training.skipped_tasks import TaskCounter
from metanas_pl.training.unsupported import EpisodesOnly, check_batch
from metanas_pl.types import OuterProgress
from metanas_pl.utils.lightning_private import averages_buffers, trainer_of

if TYPE_CHECKING:
    from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig

    from metanas_pl.engine.space_factory import SpaceConfig
    from metanas_pl.training.episode_records import Rows
    from metanas_pl.types import Checkpoint, Episodes, Settings


class MetaNASModule(MetaArchitecture, EpisodesOnly):
    """Meta-learn a network's weights together with its architecture.

    Args:
        space: a configuration with a ``builder`` (see ``CellSpaceConfig``).
        nas: the NAS method.
        meta: the meta-learner with its inner and outer loop.
        evaluation: what adapts at validation and test.
        image_shape: ``(C, H, W)`` of the images.
        n_ways: classes of a training episode.
        seed: seed of minibatches and noise in training.
        eval_seed: the same in validation and test.

    Each argument may be a dataclass of ``metanas_pl.config`` or a plain mapping of its values.

    >>> module = MetaNASModule(space={"channels": 4, "n_cells": 2, "n_nodes": 1, "reductions": [1]})
    >>> print(module.genotype())  # doctest: +ELLIPSIS
    normal: (...
    """

    def __init__(
        self,
        space: SpaceConfig | Settings | None = None,
        nas: NASConfig | Settings | None = None,
        meta: MetaConfig | Settings | None = None,
        evaluation: EvaluationConfig | Settings | None = None,
        image_shape: Sequence[int] = (1, 28, 28),
        n_ways: int = 5,
        seed: int = 0,
        eval_seed: int = 0,
    ) -> None:
        if len(image_shape) != 3 or any(size < 1 for size in image_shape):
            raise UserError(f"image_shape={image_shape} makes no sense: give (C, H, W)")
        channels, height, width = image_shape  # of a checkpoint it is a list
        space = complete(space or {})
        nas, meta = from_plain(NASConfig, nas or {}), from_plain(MetaConfig, meta or {})
        evaluation = from_plain(EvaluationConfig, evaluation or {})
        check_temperatures(nas, evaluation)
        shape = (channels, height, width)
        built = build_space(space, nas, shape, n_ways)
        if built.architecture_parameters() and alphas_adapt(nas):
            check_alpha_steps(meta, evaluation)
        costs = {kind: measure(built, kind, shape) for kind in KINDS}
        super().__init__(EpisodeLearner(built, nas, meta, costs.get(nas.cost.kind)), seed)
        self.meta, self.evaluation, self.costs = meta, evaluation, costs
        self.image_shape, self.n_ways, self.eval_seed = shape, n_ways, eval_seed
        self.save_hyperparameters(
            {
                "space": space,
                "nas": plain(nas),
                "meta": plain(meta),
                "evaluation": plain(evaluation),
                "image_shape": list(image_shape),
                "n_ways": n_ways,
                "seed": seed,
                "eval_seed": eval_seed,
            }
        )
        self.carried_states: States | None = None
        self.total_steps, self.is_timed = 1.0, False
        self.task_counter = TaskCounter()
        self.metrics = nn.ModuleDict(
            {
                f"{stage}_{name}": EpisodeMean()
                for stage in ("val", "test")
                for name in (*ACCURACIES, *DECISIONS, *GAINS, "loss")
            }
        )
        self.test_rows: Rows = []

    @property
    def progress(self) -> OuterProgress:
        """How far training is."""
        warm_up_steps = self.meta.outer.warm_up_steps
        return OuterProgress(self.global_step, self.total_steps, warm_up_steps, self.usual_loss)

    # -- training -----------------------------------------------------------------------------

    def training_step(self, batch: Episodes, batch_idx: int) -> Tensor:
        """Takes one outer step; returns the query loss, whose backward delivers the mean meta-gradient."""
        check_batch(batch, self.image_shape)
        theta = self.theta()
        result, self.carried_states = self.learner.meta_gradient(
            theta,
            batch,
            seed=self.seed,
            mask=self.mask(),
            progress=self.progress,
            states=self.carried_states,
        )
        self.task_counter.add(
            batch.index, result.finite, torch.stack([result.loss, result.accuracy])
        )
        params = [*self.space.parameters(), *self.alphas.values(), *self.hyper]
        pairs = zip(theta, result.gradient, strict=True)
        grads = [gradient[name] for values, gradient in pairs for name in values]
        share = result.finite.to(result.loss.dtype).mean()  # its weight among batches and ranks
        return InjectGradient.apply(result.loss, share, len(params), *params, *grads)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Turns the mean over all tasks of the step into that of the finite ones; without any, theta stays.

        The tasks of all ranks and accumulated batches count alike.
        """
        step = self.task_counter.close_step(self.trainer.strategy)
        if self.is_timed:
            self.total_steps = (self.global_step + 1) / (fraction_of_time(self.trainer) or 1e-9)
        grads = [p.grad for p in self.parameters() if p.grad is not None]
        if step.n_finite == 0:
            optimizer.zero_grad(set_to_none=True)  # a gradient of 0 would go on with the momentum
        elif step.n_finite < step.n_tasks:
            torch._foreach_mul_(grads, step.n_tasks / step.n_finite)
        self.note(step.scores[0], self.progress)
        for parameter in self.resting(self.progress):  # an optimizer's state is for what it moves
            parameter.grad = None
        shown = dict(zip(("train/loss", "train/accuracy"), step.scores, strict=True))
        shown["train/skipped_tasks"] = torch.tensor(float(self.task_counter.n_skipped))
        shown |= self.state_of_the_search(self.progress)
        self.log_dict(shown)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Meta-prunes at its interval, as part of the step: checkpoints come after it."""
        super().optimizer_step(*args, **kwargs)
        self.prune_if_due(self.progress._replace(outer_step=self.global_step + 1))

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clips each group on its own: gradients of alphas grow as 1/T, those of weights do not."""
        self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
        if (norm := self.meta.outer.clip_norm) is not None:
            for group in optimizer.param_groups:
                nn.utils.clip_grad_norm_(group["params"], norm)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Makes one optimizer with a group each for weights, alphas and learned inner hyper-parameters."""
        outer = self.meta.outer
        optimizer = make_outer_optimizer(
            outer, list(self.space.parameters()), list(self.alphas.values()), list(self.hyper)
        )
        self.total_steps = float(self.trainer.estimated_stepping_batches)
        endless = not math.isfinite(self.total_steps)
        self.is_timed = endless and fraction_of_time(self.trainer) is not None
        check_end(self.nas, outer, self.total_steps, self.is_timed)
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: learning_rate_factor(outer, step, self.total_steps)
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    @property
    def learning_rate(self) -> float:
        """Outer rate of the weights, for Lightning's ``lr_find``, which tries each rate on all groups."""
        return self.meta.outer.weight_lr

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        self.meta = replace(self.meta, outer=replace(self.meta.outer, weight_lr=rate))
        self.hparams["meta"] = plain(self.meta)

    def on_train_start(self) -> None:
        """Refuses ranks that resume after different outer steps."""
        step = torch.tensor([self.global_step, -self.global_step], device=self.device)
        last, first = self.trainer.strategy.reduce(step, reduce_op="max").tolist()
        if last != -first:
            raise UserError(
                f"ranks resume after outer steps {-first} to {last}: "
                "put hydra.run.dir on a disk that all of them see"
            )

    def on_fit_start(self) -> None:
        """Refuses what cannot be exact."""
        check_strategy(type(self.trainer.strategy).__name__)
        if self.nas.meta_prune_interval and averages_buffers(self.trainer):
            raise UserError(
                "a callback averages buffers, and what meta-pruning left alive is one: "
                "give it use_buffers=False"
            )
        if self.meta.inner.state == "carried" and self.trainer.world_size > 1:
            raise UserError(
                f"meta.inner.state=carried passes states from task to task in order: "
                f"trainer.devices gives {self.trainer.world_size} processes, it must be 1"
            )

    # -- evaluation ---------------------------------------------------------------------------

    def _evaluate(self, batch: Episodes, stage: str) -> Evaluation:
        check_batch(batch, self.image_shape)
        result = self.learner.evaluate(  # in warm-up, too: the best is compared by one protocol
            self.theta(), batch, seed=self.eval_seed, mask=self.mask(), plan=self.evaluation
        )
        check_finite(result, batch.index, stage)
        fields = ACCURACIES | (DECISIONS if self._alphas_move else {})
        values = {key: getattr(result, field) for key, field in fields.items()}
        self._log_values(stage, {**values, "loss": result.loss})
        return result

    def _log_values(self, stage: str, values: Mapping[str, Tensor]) -> None:
        """Logs means over the episodes that have a value."""
        for name, value in values.items():
            metric = self.metrics[f"{stage}_{name}"]
            assert isinstance(metric, EpisodeMean)
            metric.update(value[value.isfinite()])
            self.log(f"{stage}/{name}", metric, on_epoch=True, on_step=False)

    def validation_step(self, batch: Episodes, batch_idx: int) -> None:
        """Adapts to validation episodes; logs what adapting the alphas gains."""
        result = self._evaluate(batch, "val")
        arms = {f"{ARM}{arm}": value for arm, value in self._arms(batch, result, "val").items()}
        self._log_values("val", gains({"accuracy": result.accuracy, **arms}))

    def on_test_epoch_start(self) -> None:
        """Forgets the rows of an earlier test."""
        self.test_rows = []

    def test_step(self, batch: Episodes, batch_idx: int) -> None:
        """Adapts to test episodes and keeps a row for each."""
        begin = time.perf_counter()
        result = self._evaluate(batch, "test")
        seconds = (time.perf_counter() - begin) / len(batch.index)
        arms = self._arms(batch, result, "test")
        self.test_rows += rows_of(self.space, self.costs, batch, result, arms, seconds)

    @property
    def _alphas_move(self) -> bool:
        """Whether the evaluation adapts alphas."""
        return bool(self.alphas) and self.learner.test_schedule(self.evaluation).n_alpha_steps > 0

    def _arms(self, batch: Episodes, result: Evaluation, stage: str) -> dict[str, Tensor]:
        """Returns accuracies ``(T,)`` of the arms that the evaluation asks for; NaN without a partner."""
        if not self._alphas_move:
            return {}
        return accuracies_of_arms(
            self.learner,
            self.theta(),
            batch,
            result.alphas,
            seed=self.eval_seed,
            mask=self.mask(),
            plan=self.evaluation,
            partners=partial(self._partners, stage),
        )

    def _partners(
        self, stage: str, index: list[int], same_group: bool
    ) -> tuple[Episodes, list[bool]] | None:
        """Returns episodes to take the alphas of, as ``EpisodeDataModule.partners``; None from a loader."""
        data: Any = getattr(self.trainer, "datamodule", None)
        if not hasattr(data, "partners"):
            return None
        partners, found = data.partners(stage, index, same_group=same_group)
        return data.transfer_batch_to_device(partners, self.device, 0), found

    def on_test_epoch_end(self) -> None:
        """Logs the test at this step: Lightning's count is one less if a finished training was resumed."""
        self.log("step", float(self.trainer.global_step), sync_dist=True)

    def gathered_test_rows(self) -> Rows:
        """Returns rows of the test episodes of all processes, in the order of the episodes."""
        return gathered(self.test_rows)

    # -- checkpoints --------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Adds the version of the format, carried inner states and the count of skipped tasks."""
        checkpoint["format_version"] = FORMAT_VERSION
        checkpoint["compiled_for"] = processor()
        checkpoint["skipped_tasks"] = self.task_counter.n_skipped
        checkpoint["total_steps"] = self.total_steps
        checkpoint["removed_options"] = self.removed
        if self.carried_states is not None:
            weights, alphas = self.carried_states
            checkpoint["carried_states"] = [[*weights], [*alphas]]

    def on_load_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Restores them; continues with batches of another size, where it has changed."""
        state = checkpoint.get("state_dict", {})
        checkpoint["state_dict"] = with_buffers(state, self.state_dict())
        self.task_counter.n_skipped = checkpoint.get("skipped_tasks", 0)
        self.total_steps = checkpoint.get("total_steps", self.total_steps)
        self.removed = list(checkpoint.get("removed_options", []))
        if "carried_states" in checkpoint:
            parts = checkpoint["carried_states"]
            weights, alphas = (AdamState(*part) if part else () for part in parts)
            self.carried_states = weights, alphas
        size = getattr(getattr(trainer_of(self), "datamodule", None), "meta_batch_size", None)
        if "loops" in checkpoint and size is not None:
            recount_batches(checkpoint, size)
            # Lightning does so after loading, and would round parameters of double precision.
            self.trainer.precision_plugin.convert_module(self)
