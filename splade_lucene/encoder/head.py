"""A masked language model → weights, without ever holding the logits of all tokens for all terms."""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import Tensor, nn

from splade_lucene.encoder.pooling import Pooling, pool_logits, project_and_pool

_log = logging.getLogger(__name__)
_TOLERANCE = 1e-3


class PooledHead:
    """Computes pooled weights of token batches.

    The decoder, the last layer of a masked-LM head, is taken out of the network and applied slice by slice. Whether a
    network allows that is not guessed from its name: both ways are computed once on a short probe, and if they differ the
    network is left whole.

    Args:
        model: The network; it is changed in place.
        pooling: Which formula.
    """

    def __init__(self, model: nn.Module, pooling: Pooling) -> None:
        self._model: Any = model
        self._pooling = pooling
        self._decoder: nn.Linear | None = None
        self._detach_decoder()

    @torch.inference_mode()
    def __call__(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """Weights of a batch.

        Args:
            input_ids: Shape [texts, tokens].
            mask: Shape [texts, tokens]; 1 for tokens, 0 for padding.

        Returns:
            Shape [texts, terms], float32.
        """
        output = self._model(input_ids=input_ids, attention_mask=mask).logits
        if self._decoder is None:
            return pool_logits(output, mask, self._pooling)
        return project_and_pool(output, self._decoder.weight, self._decoder.bias, mask, self._pooling)

    def _detach_decoder(self) -> None:
        decoder = self._model.get_output_embeddings()
        path = next((name for name, module in self._model.named_modules() if module is decoder), "")
        if not isinstance(decoder, nn.Linear) or not path:
            return
        size = int(self._model.get_input_embeddings().weight.shape[0])
        probe = (torch.arange(16, device=decoder.weight.device).reshape(2, 8) * 37 + 5) % size
        mask = torch.ones_like(probe)
        mask[1, 6:] = 0
        whole = self(probe, mask)
        owner = self._model.get_submodule(path.rpartition(".")[0])
        setattr(owner, path.rpartition(".")[2], nn.Identity())
        self._decoder = decoder
        try:
            fits = bool(torch.allclose(self(probe, mask), whole, atol=_TOLERANCE * max(1.0, float(whole.max()))))
        except RuntimeError:
            fits = False
        if not fits:
            _log.info("the decoder is not the last layer of this network, so its logits are held whole")
            setattr(owner, path.rpartition(".")[2], decoder)
            self._decoder = None
