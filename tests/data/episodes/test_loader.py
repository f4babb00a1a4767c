"""Loading: workers do not matter, and a checkpoint continues with the very next task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint

from metanas_pl.data.episodes.dataset import EpisodeBatch, EpisodeDataset
from metanas_pl.data.episodes.loader import EpisodeLoader
from metanas_pl.data.store.class_store import ClassStore

N_EPISODES, BATCH = 12, 3
EPOCHS = 3
STEPS_AN_EPOCH = N_EPISODES // BATCH


def make_loader(store: ClassStore, num_workers: int = 0, split: str = "train") -> EpisodeLoader:
    dataset = EpisodeDataset(store, split, 3, 1, 2, N_EPISODES, seed=5)
    return EpisodeLoader(dataset, BATCH, num_workers=num_workers)


def test_workers_do_not_change_the_episodes(toy_store: ClassStore) -> None:
    alone, helped = make_loader(toy_store), make_loader(toy_store, num_workers=2)
    for epoch in range(2):
        for loader in (alone, helped):
            loader.batch_sampler.sampler.set_epoch(epoch)
        for a, b in zip(alone, helped, strict=True):
            assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_the_global_generator_is_left_alone(toy_store: ClassStore) -> None:
    before = torch.get_rng_state()
    list(make_loader(toy_store))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("num_workers", [0, 2])
def test_state_counts_what_was_handed_out(toy_store: ClassStore, num_workers: int) -> None:
    loader = make_loader(toy_store, num_workers)
    iterator = iter(loader)
    next(iterator)
    state = loader.state_dict()
    assert state == {"epoch": 0, "tasks": BATCH}
    resumed = make_loader(toy_store, num_workers)
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state
    for expected, found in zip(iterator, resumed, strict=True):
        assert torch.equal(expected.query_x, found.query_x)
    assert len(resumed) == STEPS_AN_EPOCH


def test_the_end_of_an_epoch_is_the_beginning_of_the_next(toy_store: ClassStore) -> None:
    loader = make_loader(toy_store)
    loader.load_state_dict({"epoch": 4, "tasks": N_EPISODES})
    assert next(iter(loader)).index.tolist() == [60, 61, 62]


@pytest.mark.parametrize("state", [None, {"tasks": 0}, {"epoch": "4", "tasks": 0}])
def test_a_state_that_makes_no_sense_is_refused(toy_store: ClassStore, state: Any) -> None:
    with pytest.raises(ValueError, match="which episodes come next"):
        make_loader(toy_store).load_state_dict(state)


class Recorder(pl.LightningModule):
    """Keeps the numbers of the episodes that it trains on."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: list[list[int]] = []

    def training_step(self, batch: EpisodeBatch, batch_idx: int) -> torch.Tensor:
        self.seen.append(batch.index.tolist())
        return self.weight.sum() * batch.query_x.mean()

    def validation_step(self, batch: EpisodeBatch, batch_idx: int) -> None:
        pass

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(store: ClassStore, root: Path, workers: int = 0, ckpt: Path | None = None, **options: Any):
    module = Recorder()
    callbacks: list[Callback] = options.pop("callbacks", [])
    trainer = pl.Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=bool(callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=root,
        callbacks=callbacks,
        **options,
    )
    loaders = make_loader(store, workers), make_loader(store, split="val")
    trainer.fit(module, *loaders, ckpt_path=ckpt, weights_only=True if ckpt else None)
    return module.seen


EVERY_STEP = [list(range(k, k + BATCH)) for k in range(0, EPOCHS * N_EPISODES, BATCH)]


@pytest.mark.filterwarnings("ignore")  # Lightning's own, about a toy run
@pytest.mark.parametrize(
    ("workers", "when", "options"),
    [
        (0, {"every_n_train_steps": 1}, {}),
        (2, {"every_n_train_steps": 3}, {}),
        (0, {"every_n_epochs": 1}, {}),
        (0, {"every_n_epochs": 1, "save_on_train_epoch_end": True}, {}),
        (0, {"every_n_epochs": 1}, {"val_check_interval": 2}),
        (0, {"every_n_train_steps": 1}, {"val_check_interval": 2}),
    ],
)
def test_a_resumed_run_sees_the_rest_of_the_episodes(
    toy_store: ClassStore,
    tmp_path: Path,
    workers: int,
    when: dict[str, Any],
    options: dict[str, Any],
) -> None:
    saver = ModelCheckpoint(tmp_path, "{step}", save_top_k=-1, **when)
    assert fit(toy_store, tmp_path, callbacks=[saver], **options) == EVERY_STEP
    checkpoints = {int(f.stem.split("=")[1]): f for f in tmp_path.glob("*.ckpt")}
    assert len(checkpoints) > 1
    for step, file in checkpoints.items():
        assert fit(toy_store, tmp_path, workers, file, **options) == EVERY_STEP[step:]
