"""The initial scale of the student's scores."""

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
_COARSE_STEP = 8
_UNTRAINED_SCALE = 0.1
_IMPROVEMENT = 0.99  # relative to the loss of uninformative scores


@torch.no_grad()
def calibrate_scale(trainer: Any, student: Student, ranking: RankingLoss) -> float:
    """Sets the scale to the value that minimizes the loss of the first batches.

    If the scale is too large, the student is more confident than its teacher and first learns to shrink all weights, which
    loses terms; if it is too small, the weights grow. For an untrained student the loss would be lowest with no scores at
    all; it gets 0.1.

    Args:
        trainer: Provides the batches.
        student: The model being trained.
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
        found = [ranking.losses(embeddings, labels) for embeddings, labels in batches]
        return sum(float(loss) for losses in found for loss in losses.values())

    # All losses are convex in the scale, so the smallest one is next to the smallest of some.
    losses = {number: loss_of(float(_SCALES[number])) for number in range(0, len(_SCALES), _COARSE_STEP)}
    near = min(losses, key=lambda number: (losses[number], number))
    for number in range(max(0, near - _COARSE_STEP + 1), min(len(_SCALES), near + _COARSE_STEP)):
        if number not in losses:
            losses[number] = loss_of(float(_SCALES[number]))
    best = min(losses, key=lambda number: (losses[number], number))
    scale = float(_SCALES[best]) if losses[best] < _IMPROVEMENT * losses[0] else _UNTRAINED_SCALE
    student.scale.set(scale)
    return scale
