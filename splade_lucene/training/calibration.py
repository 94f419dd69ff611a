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
_SCALES = np.geomspace(0.01, 10, 61)


@torch.no_grad()
def calibrate_scale(trainer: Any, student: Student, ranking: RankingLoss) -> float:
    """Sets the scale to where the loss of the first batches is least.

    With a scale that is too large the student is surer than its teacher, and the first thing that it learns is to make all
    weights smaller, which costs it terms; with one that is too small it grows them.

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

    best = float(min(_SCALES, key=loss_of))
    student.scale.set(best)
    return best
