"""A language model that computes weights: loaded, optimized for this machine, and pooled without holding all logits."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from splade_lucene.encoder.batching import TokenSequences, pad
from splade_lucene.encoder.checkpoint import load_network, load_tokenizer
from splade_lucene.encoder.layout import NetworkSide
from splade_lucene.encoder.linear import linear_map, pack_linear_layers
from splade_lucene.encoder.memory import SLICE_TERMS, affordable_tokens, is_out_of_memory, total_memory
from splade_lucene.encoder.pooling import (
    Projection,
    activate,
    pool_logits,
    project_and_pool,
    without_padding,
)
from splade_lucene.encoder.screened import ScreenedDecoder, can_screen, choose_screen
from splade_lucene.encoder.soundness import check_logits, check_tokenizer, check_values
from splade_lucene.encoder.sparse import SparseWeights
from splade_lucene.encoder.sparsify import Entries, encode_in_batches
from splade_lucene.encoder.term_factors import term_factors
from splade_lucene.encoder.terms import vocabulary_terms
from splade_lucene.errors import ModelError
from splade_lucene.fork_guard import ForkGuard

_log = logging.getLogger(__name__)
_TOLERANCES = {torch.float32: 1e-3, torch.float16: 2e-2, torch.bfloat16: 5e-2}
_FEW_ROWS = 32
_networks = 0  # loaded in this process
# with a single thread PyTorch has no thread pool, so forking is safe
_fork_guard = ForkGuard("an encoder was loaded", lambda: _networks > 0 and torch.get_num_threads() > 1)
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "int8": torch.float32}


class Network:
    """Computes the weights of token sequences.

    The decoder, the last layer of the head, is detached from the network and applied slice by slice. Whether a network
    allows this is tested rather than guessed from its name: a short probe is encoded both ways, and if the results differ,
    the decoder stays attached.

    Args:
        side: The settings read from the checkpoint.
        dtype: ``float32``, ``bfloat16``, ``int8`` (the decoder only; the rest is float32), or ``checkpoint``.
        device: Where to compute.
        trust_remote_code: Whether to run code shipped with the checkpoint.

    Attributes:
        tokenizer: The checkpoint's tokenizer.
        model: The network.
        terms: The vocabulary's Lucene terms by term_id.
    """

    def __init__(self, side: NetworkSide, *, dtype: str, device: torch.device, trust_remote_code: bool = False) -> None:
        global _networks
        _fork_guard.check()
        _networks += 1
        if dtype == "int8" and device.type != "cpu":
            raise ModelError("int8 is supported on CPUs only. Use bfloat16 on a GPU.")
        self.side, self.dtype, self.device = side, dtype, device
        self.tokenizer = load_tokenizer(side.location.tokenizer_folder, trust_remote_code=trust_remote_code)
        model: Any = load_network(side, dtype=DTYPES.get(dtype), device=device, trust_remote_code=trust_remote_code)
        self.model = model
        decoder: Any = model.get_output_embeddings()
        if decoder is None:
            raise ModelError(
                f"{side.location.folder}: this network has no output embeddings for the vocabulary. Use a checkpoint with its "
                "language-model head."
            )
        self.parameters = sum(parameter.numel() for parameter in self.model.parameters())
        self.terms = vocabulary_terms(self.tokenizer.get_vocab(), int(decoder.weight.shape[0]))
        self._check_tokenizer()
        probe, mask = self._probe()
        logits = self._logits_of(probe, mask)
        check_values(model, side.location.folder)
        dtype = str(logits.dtype).removeprefix("torch.")
        check_logits(logits.float().cpu().numpy(), dtype, side.location.folder)
        self._decoder: nn.Linear | None = None
        self._is_int8 = False  # until the decoder has been found to be the last layer
        self._detach_decoder(decoder, logits)
        self._factors = torch.from_numpy(term_factors(side, self.tokenizer, len(self.terms))).to(device)

    def affordable_tokens(self) -> int:
        """Tokens per batch that fit into an eighth of the device's memory."""
        config = self.model.config
        width = int(getattr(config, "hidden_size", 0) or 768)
        inner = int(getattr(config, "intermediate_size", 0) or 4 * width)
        terms = len(self.terms) if self._decoder is None else 0
        return affordable_tokens(total_memory(self.device), width, inner, terms)

    def encode(
        self, sequences: TokenSequences, batch_tokens: int, progress: Callable[[int, int], None] | None = None
    ) -> SparseWeights:
        """Computes the weights above 0; for a text with several passages, the largest weight of each term.

        Args:
            sequences: The tokenized texts.
            batch_tokens: Tokens per batch; a batch that does not fit into memory is halved.
            progress: Called after each batch with the number of texts whose first sequence is in it, and its number of tokens.
        """
        return encode_in_batches(
            sequences, lambda batch: self._encode_batch(sequences, batch), batch_tokens, self.terms, progress
        )

    @torch.inference_mode()
    def weights(self, sequences: TokenSequences, batch: Sequence[int]) -> Tensor:
        """Weights of one batch; shape [sequences, terms], float32."""
        ids = [sequences.ids[i] for i in batch]
        spans = [sequences.pooled[i] for i in batch]
        padded = pad(ids, spans, self.tokenizer.pad_token_id or 0)
        input_ids, attention, mask = (torch.from_numpy(each).to(self.device) for each in padded)
        weights = self._pool(self._forward(input_ids, attention), mask)
        if self.side.own_terms:
            weights *= self._own_factors(ids)
        elif self.side.drop_specials:
            weights *= self._factors
        return weights

    # ---- one batch ----

    def _encode_batch(self, sequences: TokenSequences, batch: list[int]) -> Entries:
        try:
            return _compact(self.weights(sequences, batch))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if len(batch) == 1:
                raise ModelError(
                    f"a text of {len(sequences.ids[batch[0]])} tokens does not fit into the memory of {self.device}. "
                    "Lower max_length, or set passage_tokens to split texts."
                ) from error
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        half = len(batch) // 2
        _log.warning("out of memory: halving the batch from %d to %d sequences", len(batch), half)
        first, second = self._encode_batch(sequences, batch[:half]), self._encode_batch(sequences, batch[half:])
        return Entries.join([first, second._replace(rows=second.rows + half)])

    def _forward(self, input_ids: Tensor, attention: Tensor) -> Tensor:
        _fork_guard.check()
        with self._attention_kernels():
            output: Tensor = self.model(input_ids=input_ids, attention_mask=attention, **self._no_cache).logits
        return output

    def _pool(self, output: Tensor, mask: Tensor) -> Tensor:
        pooling, activation = self.side.pooling, self.side.activation
        if self._decoder is None:
            return pool_logits(output, mask, pooling, activation)
        if self._is_fused:
            from splade_lucene.encoder import fused

            starts = torch.zeros(len(mask) + 1, dtype=torch.int32, device=self.device)
            starts[1:] = mask.sum(dim=1).cumsum(dim=0)
            weight, bias = self._decoder.weight, self._decoder.bias
            return fused.fused_pool(output[mask], starts, weight, bias, pooling, activation)
        is_small = mask.numel() <= _FEW_ROWS
        if pooling == "max" and not is_small and self._screened_decoder is not None:
            return activate(self._screened_decoder.pool(without_padding(output, mask), mask), activation)
        projections = self._whole_decoder if is_small else self._sliced_decoder
        return project_and_pool(output, projections, mask, pooling, activation)

    def _own_factors(self, ids: Sequence[Sequence[int]]) -> Tensor:
        """The factors of the terms that occur in a text, 0 for all others; shape [texts, terms]."""
        own = torch.zeros(len(ids), len(self.terms), device=self.device)
        for row, each in enumerate(ids):
            term_ids = torch.tensor(each, dtype=torch.int64, device=self.device)
            own[row, term_ids] = self._factors[term_ids]
        return own

    def _attention_kernels(self) -> AbstractContextManager[None]:
        """On a GPU, all kernels but cuDNN's: for each new shape of a batch it makes a plan, which takes the time of a batch."""
        if self.device.type != "cuda":
            return nullcontext()
        from torch.nn.attention import SDPBackend, sdpa_kernel

        return sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH])

    # ---- computed once ----

    @cached_property
    def _is_fused(self) -> bool:
        """Whether projection and pooling run as one fused kernel: on a GPU, or in Triton's interpreter for tests."""
        if self._decoder is None or (self.device.type != "cuda" and "TRITON_INTERPRET" not in os.environ):
            return False
        from splade_lucene.encoder import fused

        return fused.is_usable(self.device, self._decoder.weight.dtype)

    @cached_property
    def _screened_decoder(self) -> ScreenedDecoder | None:
        """The decoder for max pooling in float32 where the processor has much faster products; else None."""
        if self._decoder is None or self.device.type != "cpu" or self._is_int8:
            return None
        weight, bias, screen = self._decoder.weight, self._decoder.bias, choose_screen()
        if screen is None or weight.dtype != torch.float32 or not can_screen(screen, weight.shape[1]):
            return None
        return ScreenedDecoder(weight, bias, screen, SLICE_TERMS)

    @cached_property
    def _sliced_decoder(self) -> list[Projection]:
        return self._project_by(SLICE_TERMS)

    @cached_property
    def _whole_decoder(self) -> list[Projection]:
        """The decoder as a single slice, which is faster for one query."""
        return self._project_by(len(self.terms))

    def _project_by(self, step: int) -> list[Projection]:
        if self._decoder is None:
            return []
        weight, bias, size = self._decoder.weight, self._decoder.bias, len(self.terms)
        return [
            (
                start,
                stop,
                linear_map(weight[start:stop], None if bias is None else bias[start:stop], int8=self._is_int8),
            )
            for start in range(0, size, step)
            for stop in [min(size, start + step)]
        ]

    @cached_property
    def _no_cache(self) -> dict[str, bool]:
        return {"use_cache": False} if self.side.is_causal else {}

    def _check_tokenizer(self) -> None:
        size = min(len(self.terms), int(self.model.get_input_embeddings().weight.shape[0]))
        check_tokenizer(
            self.tokenizer.get_vocab(), self.tokenizer.all_special_ids, self.side.location.tokenizer_folder, size
        )

    def _detach_decoder(self, decoder: nn.Module, logits: Tensor) -> None:
        path = next((name for name, module in self.model.named_modules() if module is decoder), "")
        if not isinstance(decoder, nn.Linear) or not path:
            _log.warning(
                "the decoder of this network is not a linear layer; holding all logits, which takes more memory"
            )
            return
        probe, mask = self._probe()
        expected = self._pool(logits, mask.bool())
        owner = self.model.get_submodule(path.rpartition(".")[0])
        setattr(owner, path.rpartition(".")[2], nn.Identity())
        self._decoder = decoder
        try:
            tolerance = _TOLERANCES[next(self.model.parameters()).dtype] * max(1.0, float(expected.max()))
            is_equal = torch.allclose(self._weights_of(probe, mask), expected, atol=tolerance)
        except RuntimeError:
            is_equal = False
        if not is_equal:
            _log.warning(
                "the decoder is not the last layer of this network; holding all logits, which takes more memory"
            )
            setattr(owner, path.rpartition(".")[2], decoder)
            self._decoder = None
            return
        if self.device.type == "cpu":
            pack_linear_layers(self.model)
        self._is_int8 = self.dtype == "int8"
        self.__dict__.pop("_whole_decoder", None)  # cached by the probe above

    def _probe(self) -> tuple[Tensor, Tensor]:
        """Token ids from the whole vocabulary and their mask: two whole texts and a shorter one; shape [3, 8]."""
        size = int(self.model.get_input_embeddings().weight.shape[0])
        probe = (torch.arange(24, device=self.device).reshape(3, 8) * max(1, size // 24) + 5) % size
        mask = torch.ones_like(probe)
        mask[2, 6:] = 0
        return probe, mask

    @torch.inference_mode()
    def _logits_of(self, probe: Tensor, mask: Tensor) -> Tensor:
        return self._forward(probe, mask)

    @torch.inference_mode()
    def _weights_of(self, probe: Tensor, mask: Tensor) -> Tensor:
        return self._pool(self._forward(probe, mask), mask.bool())


def _compact(weights: Tensor) -> Entries:
    """The entries above 0 of dense rows; only these, about a hundred per text, leave a GPU."""
    rows, term_ids = weights.nonzero(as_tuple=True)
    values = weights[rows, term_ids]
    return Entries(*(each.cpu().numpy() for each in (rows, term_ids, values)))
