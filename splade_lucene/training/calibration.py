"""Where the scale of the student's scores starts."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from splade_lucene.training.losses import RankingLoss
    from splade_lucene.training.network import Student

_BATCHES = 4
_SCALES = np.geomspace(1e-3, 10, 81)
_OF_THE_IGNORANT = 0.1
_GAIN = 0.99  # of the loss of scores that say nothing


@torch.no_grad()
def calibrate_scale(trainer: Any, student: Student, ranking: RankingLoss) -> float:
    """Sets the scale to where the loss of the first batches is least.

    With a scale that is too large the student is surer than its teacher, and the first thing that it learns is to make all
    weights smaller, which costs it terms; with one that is too small it grows them. A student that knows nothing yet would be
    best with no scores at all; it gets 0.1.

    Args:
        trainer: Knows the batches.
        student: What learns.
        ranking: The loss without regularization.

    Returns:
        The scale.
    """
    student.encoder.eval()
    batches = []
    for inputs in islice(trainer.get_train_dataloader(), _BATCHES):
        features, labels = trainer.collect_features(inputs)
        batches.append(([student.encoder(each)["sentence_embedding"] for each in features], labels))
    student.encoder.train()

    def loss_of(scale: float) -> float:
        student.scale.set(scale)
        found = [ranking.compute_loss_from_embeddings(embeddings, labels) for embeddings, labels in batches]
        return sum(float(loss) for losses in found for loss in losses.values())

    losses = [loss_of(float(scale)) for scale in _SCALES]
    best = float(_SCALES[int(np.argmin(losses))]) if min(losses) < _GAIN * losses[0] else _OF_THE_IGNORANT
    student.scale.set(best)
    return best
