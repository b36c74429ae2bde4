"""A contender: eSASRec as its authors' library, rectools, has it.

Runs in ``.venv-rectools``. eSASRec (Tikhonovich et al., RecSys 2025, arXiv 2508.06450) is
SASRec's shifted-sequence objective on LiGR layers with a sampled softmax; ``Recipe`` holds what
its authors chose for Beauty in their own benchmark (blondered/transformer_benchmark on GitHub,
"Hyperparameters for all datasets"): width 64, one block, one head, dropout .2, 256 negatives
for each position, Adam at a constant .001, for at most 200 epochs with a patience of 50. What
they do not name is the library's default: batches of 128 users, uniform negatives, dot
products, learnt positions. As they do, it masks padding in the attention. For Sports they
choose ``feed_forward`` 2. Their configuration files for these data have width 256 where their
table has 64; 64 takes a quarter of the time and is what we compare with.

The epoch is chosen by NDCG@10 on the validation items. The library does not score items that it
met in no training sequence: as held-out items they are misses.
"""

from __future__ import annotations

import logging
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np
import pandas as pd
import pytorch_lightning as lightning
import torch
from numpy.typing import NDArray
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel
from rectools.models.nn.transformers.ligr import LiGRLayers

from tests.bench.accuracy.contract import Epoch, Figures, Outcome, Task, task_of, tell
from tests.bench.accuracy.held_out import HeldOut, read
from tests.bench.accuracy.ruler import BLOCK, figures, mask, ranks

PADDING: Final = "PAD"
"""How the library names the item that fills up short sequences; it is number 0."""


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """eSASRec's settings; a task's options replace them."""

    width: int = 64
    blocks: int = 1
    heads: int = 1
    dropout: float = 0.2
    feed_forward: int = 4
    """How many times wider the inner layer is."""
    negatives: int = 256
    """Drawn for each position anew."""
    learning_rate: float = 1e-3
    batch: int = 128
    """Users."""


class Scorer(NamedTuple):
    """Scores all items for users, with the library's model in the state in which it is."""

    module: lightning.LightningModule
    known: NDArray[np.int64]
    """Which item each of the library's own numbers is; 0 is padding."""
    items: int
    length: int

    @torch.no_grad()
    def blocks(self, histories: Sequence[NDArray[np.int64]]) -> Iterator[NDArray[np.float32]]:
        """Scores [users, items + 1] for a few users at a time; -inf for what it does not know."""
        net = self.module.torch_model
        own = np.zeros(self.items + 1, np.int64)
        own[self.known] = np.arange(len(self.known))
        self.module.eval()
        vectors = net.item_model.get_all_embeddings()
        for start in range(0, len(histories), BLOCK):
            sequences = self._sequences(histories[start : start + BLOCK], own)
            users = net.encode_sessions({"x": torch.from_numpy(sequences)}, vectors)[:, -1]
            scores = np.full((len(sequences), self.items + 1), -np.inf, np.float32)
            scores[:, self.known] = (users @ vectors.T).numpy()
            scores[:, 0] = -np.inf
            yield scores
        self.module.train()

    def _sequences(
        self, histories: Sequence[NDArray[np.int64]], own: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """The newest known items of each user at the right, padding at the left."""
        rows = np.zeros((len(histories), self.length), np.int64)
        for row, history in zip(rows, histories, strict=True):
            numbers = own[history]
            newest = numbers[numbers > 0][-self.length :]
            row[self.length - len(newest) :] = newest
        return rows


def evaluate(
    scorer: Scorer,
    histories: Sequence[NDArray[np.int64]],
    targets: NDArray[np.int64],
    *,
    masked: bool,
) -> Figures:
    """How well ``targets`` are foretold from ``histories``."""
    places, start = [], 0
    for scores in scorer.blocks(histories):
        rows = slice(start, start + len(scores))
        if masked:
            mask(scores, histories[rows])
        places.append(ranks(scores, targets[rows]))
        start = rows.stop
    return figures(places)


class Validating(lightning.Callback):  # type: ignore[misc]  # its package is in another environment
    """Tells each epoch, keeps the best one's weights, and ends training when it gets no better."""

    def __init__(self, held: HeldOut, task: Task) -> None:
        self._held = held
        self._task = task
        self._begun = (0.0, 0.0)
        self._epoch = 0
        self._best_ndcg = -1.0
        self.best_epoch = 0
        self.weights: dict[str, torch.Tensor] = {}

    def on_train_epoch_start(self, *_: object) -> None:
        """Start the clocks."""
        self._begun = (time.perf_counter(), time.process_time())

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, module: lightning.LightningModule
    ) -> None:
        """Stop the clocks, and validate."""
        ended = time.perf_counter(), time.process_time()
        seconds, processor = (now - then for now, then in zip(ended, self._begun, strict=True))
        held = self._held
        scorer = scorer_of(module, held, self._task)
        found = evaluate(scorer, held.train, held.validation, masked=True)
        tell(Epoch(seconds, processor, time.perf_counter() - ended[0], found))
        self._epoch += 1
        if found.ndcg > self._best_ndcg:
            self._best_ndcg, self.best_epoch = found.ndcg, self._epoch
            weights = module.torch_model.state_dict()
            self.weights = {name: values.clone() for name, values in weights.items()}
        trainer.should_stop = self._epoch - self.best_epoch >= self._task.patience


def scorer_of(module: lightning.LightningModule, held: HeldOut, task: Task) -> Scorer:
    """What scores with the model of ``module``."""
    names = module.data_preparator.item_id_map.get_external_sorted_by_internal()
    known = np.array([0 if name == PADDING else int(name) for name in names], np.int64)
    return Scorer(module, known, held.items, task.length)


def dataset_of(histories: Sequence[NDArray[np.int64]]) -> Dataset:
    """Histories as the library takes them: place in the history stands for time."""
    lengths = np.array([len(items) for items in histories])
    places = np.concatenate([np.arange(length) for length in lengths])
    frame = pd.DataFrame(
        {
            Columns.User: np.repeat(np.arange(len(lengths)), lengths),
            Columns.Item: np.concatenate(histories).astype(str),
            Columns.Weight: 1.0,
            Columns.Datetime: pd.to_datetime(places, unit="s"),
        }
    )
    return Dataset.construct(frame)


def model_of(recipe: Recipe, task: Task, validating: Validating) -> SASRecModel:
    """eSASRec, not trained."""

    def trainer() -> lightning.Trainer:
        return lightning.Trainer(
            accelerator="cpu",
            devices=1,
            max_epochs=task.epochs,
            callbacks=[validating],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )

    return SASRecModel(
        n_factors=recipe.width,
        n_blocks=recipe.blocks,
        n_heads=recipe.heads,
        dropout_rate=recipe.dropout,
        session_max_len=task.length,
        loss="sampled_softmax",
        n_negatives=recipe.negatives,
        lr=recipe.learning_rate,
        batch_size=recipe.batch,
        use_key_padding_mask=True,
        transformer_layers_type=LiGRLayers,
        transformer_layers_kwargs={"ff_factors_multiplier": recipe.feed_forward},
        get_trainer_func=trainer,
    )


def compete(task: Task) -> tuple[SASRecModel, HeldOut]:
    """Train, tell how it went, and answer the model with the weights of its best epoch."""
    recipe = msgspec.convert(task.options, Recipe, strict=False)
    torch.set_num_threads(task.threads)
    lightning.seed_everything(task.seed, verbose=False)
    held = read(Path(task.data))
    model = model_of(recipe, task, Validating(held, task))
    model.fit(dataset_of(held.train))
    # The library trains with a copy of the callback.
    (validated,) = (each for each in model.fit_trainer.callbacks if isinstance(each, Validating))
    model.torch_model.load_state_dict(validated.weights)
    scorer, before = scorer_of(model.lightning_model, held, task), held.before_test()
    masked = evaluate(scorer, before, held.test, masked=True)
    unmasked = evaluate(scorer, before, held.test, masked=False)
    tell(Outcome(validated.best_epoch, masked, unmasked))
    return model, held


def main() -> None:
    """Compete in silence but for the records."""
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    compete(task_of(sys.argv[1:]))


if __name__ == "__main__":
    main()
