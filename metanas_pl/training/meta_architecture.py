"""The meta-architecture: theta as parameters, and what the search has found out about its options."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from metanas_pl.algorithms.nas.evidence import Evidence, of_path, of_step
from metanas_pl.algorithms.nas.relaxations import entropy, n_open, softmax
from metanas_pl.engine.choosing import member
from metanas_pl.engine.episode_learner import EpisodeLearner
from metanas_pl.search_spaces.genotypes.architecture import Architecture
from metanas_pl.training.meta_pruning import SearchEvidence, is_due, pruned
from metanas_pl.types import Mask, Mixing, OuterProgress, Theta

LOSS_SHARE = 0.1
"""Share of a step in the running mean of the query loss."""


class MetaArchitecture(nn.Module):
    """Weights, alphas and learned rates, the options that are alive, and the evidence on them.

    Args:
        learner: computes with them.
        seed: of the options that an outer step samples.
    """

    usual_loss: Tensor

    def __init__(self, learner: EpisodeLearner, seed: int) -> None:
        super().__init__()
        self.space, self.learner, self.nas, self.seed = learner.space, learner, learner.nas, seed
        self.alphas = nn.ParameterDict(learner.initial_alphas())
        for name, alpha in self.alphas.items():
            self.register_buffer(f"alive_{name}", torch.ones_like(alpha, dtype=torch.bool))
        self.evidence = SearchEvidence(dict(self.alphas.items()))
        self.register_buffer("usual_loss", torch.tensor(math.nan))
        self.removed: list[dict[str, Any]] = []
        self.hyper_names, self.hyper = list[str](), nn.ParameterList()
        hyper = learner.loops.hyper(learner.one_set(self.theta()))
        self.hyper_names, self.hyper = list(hyper), nn.ParameterList(hyper.values())

    def theta(self) -> Theta:
        """Returns everything meta-learned, detached from the autograd graph."""
        weights = {name: p.detach() for name, p in self.space.named_parameters()}
        alphas = {name: a.detach() for name, a in self.alphas.items()}
        hyper = zip(self.hyper_names, self.hyper, strict=True)
        return Theta(weights, alphas, {name: h.detach() for name, h in hyper})

    def mask(self) -> Mask:
        """Returns alphas that meta-pruning has left alive, by name."""
        return {name: getattr(self, f"alive_{name}") for name in self.alphas}

    def mixing(self, temperature: float | None = None) -> Mixing:
        """Returns mixing weights of the meta-architecture, at t_min unless told otherwise."""
        at = self.nas.t_min if temperature is None else temperature
        return self.learner.relaxation(self.theta().alphas, at, self.mask())

    def probabilities(self, temperature: float) -> Mixing:
        """Returns the softmax of the meta-alphas, whatever the relaxation: how decided they are."""
        return softmax(self.theta().alphas, temperature, self.mask())

    def genotype(self, index: int = 0) -> Architecture | None:
        """Returns the meta-genotype: hard pruning of the meta-alphas. None for a space without cells.

        Args:
            index: number of the set of alphas, where a task chooses among several.
        """
        mixing = self.mixing()
        return self.space.genotype(member(mixing, index) if self.learner.n_sets > 1 else mixing)

    def resting(self, progress: OuterProgress) -> list[nn.Parameter]:
        """Returns parameters that rest in this step: alphas in warm-up, a head that each task makes."""
        resting = list(self.alphas.values()) if self.learner.alphas_rest(progress) else []
        return resting + ([*self.space.head.parameters()] if self.learner.head_rests else [])

    # -- the search ---------------------------------------------------------------------------

    def state_of_the_search(self, progress: OuterProgress) -> dict[str, Tensor]:
        """Returns what the log says about the meta-architecture, at the T at which a task ends now."""
        if not len(self.alphas):
            return {"alpha/entropy": torch.zeros(())}
        now = self.learner.training_schedule(progress).query_temperature
        chances = self.probabilities(now)
        return {
            "alpha/entropy": entropy(chances),
            "alpha/open_choices": n_open(chances, self.nas.test_threshold),
            "alpha/temperature": torch.tensor(now),
        }

    def note(self, loss: Tensor, progress: OuterProgress) -> None:
        """Adds what an outer step says about the options, and its loss to the usual one.

        An alpha's gradient speaks of its options, or the loss of the step's path does.

        Args:
            loss: mean query loss over the tasks of the step; without a finite one nothing happens.
            progress: the step.
        """
        if not loss.isfinite():
            return
        before = self.usual_loss if self.usual_loss.isfinite() else loss.to(self.usual_loss)
        if not self.learner.alphas_rest(progress):
            self.evidence.add(self._evidence_of(loss - before, progress), progress.total_steps)
        self.usual_loss.copy_(before + LOSS_SHARE * (loss - before))

    def _evidence_of(self, advantage: Tensor, progress: OuterProgress) -> dict[str, Evidence]:
        alive = self.mask()
        part = self.learner.sampled(self.theta().alphas, self.seed, alive, progress)
        if self.nas.alpha_signal == "path_loss":
            return {name: of_path(advantage, taken) for name, taken in part.items()}
        gradients = {name: a.grad for name, a in self.alphas.items() if a.grad is not None}
        return {n: of_step(gradient, part[n], alive[n]) for n, gradient in gradients.items()}

    def prune_if_due(self, done: OuterProgress) -> None:
        """Meta-prunes after an outer step at which the settings ask for it."""
        if is_due(self.nas, done):
            self.meta_prune(done)

    def meta_prune(self, progress: OuterProgress) -> None:
        """Switches off, for good, operations that weigh little and that the tasks speak against."""
        relaxation = self.learner.method["meta_prune_relaxation"] or self.learner.relaxation
        end_of_task = self.learner.training_schedule(progress).query_temperature
        mixing = relaxation(self.theta().alphas, end_of_task, self.mask(), None)
        evidence = self.evidence.value()
        mask, removed = pruned(self.nas, self.space, mixing, self.mask(), evidence)
        for name, alive in mask.items():
            getattr(self, f"alive_{name}").copy_(alive)
        self.removed += [{"step": progress.outer_step, **option._asdict()} for option in removed]
