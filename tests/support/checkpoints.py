"""Tiny checkpoints in every layout: bare ones that can only be looked at, and ones that encode.

Importing transformers takes seconds, which tests that only look at files do without.
"""

from __future__ import annotations

import json
import math
import shutil
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from safetensors.torch import load_file as load_tensors
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from splade_lucene.models import embedded_model_folder

BERT_TERMS = 30522
DOCUMENTS = [
    "Lucene writes an inverted index of the terms of each document.",
    "An index of terms.",
    "The heart pumps blood through the body, and the blood carries oxygen. " * 3,
    "naïve café — 漢字 and emoji 😀 [SEP] [MASK]",
]
QUERIES = ["inverted index index", "blood, blood and more blood", "terms", "emoji 😀 [CLS] café"]
CODE = ["def f(x):\n\treturn x", "for each in rows:\n\n    print(each)", "if a and b:\n    pass", "x = [1, 2, 3]"] * 5

MODULES = {
    "5.0": {
        "Transformer": "sentence_transformers.models.Transformer",
        "MLMTransformer": "sentence_transformers.sparse_encoder.models.MLMTransformer",
        "SpladePooling": "sentence_transformers.sparse_encoder.models.SpladePooling",
        "SparseStaticEmbedding": "sentence_transformers.sparse_encoder.models.SparseStaticEmbedding",
        "SparseAutoEncoder": "sentence_transformers.sparse_encoder.models.SparseAutoEncoder",
        "Router": "sentence_transformers.models.Router",
        "Dense": "sentence_transformers.models.Dense",
        "Pooling": "sentence_transformers.models.Pooling",
    },
    "6": {
        "Transformer": "sentence_transformers.base.modules.transformer.Transformer",
        "MLMTransformer": "sentence_transformers.sparse_encoder.modules.mlm_transformer.MLMTransformer",
        "SpladePooling": "sentence_transformers.sparse_encoder.modules.splade_pooling.SpladePooling",
        "SparseStaticEmbedding": (
            "sentence_transformers.sparse_encoder.modules.sparse_static_embedding.SparseStaticEmbedding"
        ),
        "SparseAutoEncoder": "sentence_transformers.sparse_encoder.modules.sparse_auto_encoder.SparseAutoEncoder",
        "Router": "sentence_transformers.base.modules.router.Router",
        "Dense": "sentence_transformers.base.modules.dense.Dense",
        "Pooling": "sentence_transformers.sentence_transformer.modules.pooling.Pooling",
    },
}
"""Class → what sentence-transformers 5.0 to 5.3 (the file's name, no class), and 5.4 and later, write for it."""

Module = tuple[str, str]
"""Class and folder of a module."""

QUERY_TABLE = "query_0_SparseStaticEmbedding"
NETWORK = {"5.0": "MLMTransformer", "6": "Transformer"}


def write_json(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


class TouchesWhenLoaded:
    """An object whose pickle creates a file where it is loaded, as malicious code would do harm."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


# ---- small ones ----


def tiny_tokenizer(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(embedded_model_folder() / name, folder / name)


def tiny_checkpoint(folder: Path, kind: str, layers: int = 1) -> Path:
    import transformers

    torch.manual_seed(0)
    size = {"vocab_size": 30522, "max_position_embeddings": 64}
    if kind == "bert":
        model = transformers.BertForMaskedLM(
            transformers.BertConfig(
                hidden_size=32, num_hidden_layers=layers, num_attention_heads=2, intermediate_size=48, **size
            )
        )
    elif kind == "distilbert":
        model = transformers.DistilBertForMaskedLM(
            transformers.DistilBertConfig(dim=32, n_layers=1, n_heads=2, hidden_dim=48, **size)
        )
    else:
        model = transformers.RobertaForMaskedLM(
            transformers.RobertaConfig(
                hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=48, pad_token_id=0, **size
            )
        )
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            # a forgotten or doubled bias must show; most terms stay silent, as in a trained model
            torch.nn.init.normal_(parameter, mean=-1.3 if parameter.shape == (30522,) else 0.0, std=0.5)
    model.save_pretrained(folder)
    tiny_tokenizer(folder)
    return folder


def plain_network(folder: Path) -> Any:
    """transformers' own network; weights in eight bits are multiplied out by hand."""
    import transformers

    path = folder / "model.int8.safetensors"
    if not path.exists():
        return transformers.AutoModelForMaskedLM.from_pretrained(folder, dtype=torch.float32)
    packed = load_tensors(path)
    network = transformers.AutoModelForMaskedLM.from_config(transformers.AutoConfig.from_pretrained(folder))
    for name, parameter in network.named_parameters():
        scales = packed.get(f"{name}.scales")
        weights = packed[name].float()
        if scales is not None:  # one for 32 numbers
            weights = weights * scales.repeat_interleave(weights.shape[1] // scales.shape[1], dim=1)
        parameter.data.copy_(weights)
    return network.float()


# ---- bare: files that say everything, without weights ----


def bare_network(folder: Path, architecture: str = "BertForMaskedLM", weights: str = "model.safetensors") -> Path:
    write_json(folder / "config.json", {"architectures": [architecture]})
    (folder / weights).touch()
    return folder


def bare_plain(folder: Path, style: str, **pooling: Any) -> Path:
    """A network and a SpladePooling, as sentence-transformers saves them."""
    bare_network(folder)
    add_modules(folder, [(NETWORK[style], ""), ("SpladePooling", "1_SpladePooling")], style)
    add_pooling(folder / "1_SpladePooling", style, **pooling)
    return folder


def bare_router(folder: Path, style: str, network: str | None = None) -> Path:
    """Inference-free queries with a network for documents, as sentence-transformers saves them."""
    network = f"document_0_{NETWORK[style]}" if network is None else network
    bare_network(folder / network)
    routes = {"query": [("SparseStaticEmbedding", QUERY_TABLE)], "document": document_route(network, style)}
    add_router(folder, routes, style)
    add_pooling(folder / "document_1_SpladePooling", style)
    write_json(folder / QUERY_TABLE / "config.json", {"frozen": True})
    (folder / QUERY_TABLE / "model.safetensors").touch()
    return folder


# ---- what sentence-transformers adds to a network ----


def add_modules(folder: Path, modules: Sequence[Module], style: str) -> None:
    rows = [
        {"idx": number, "name": str(number), "path": path, "type": MODULES[style][kind]}
        for number, (kind, path) in enumerate(modules)
    ]
    write_json(folder / "modules.json", rows)
    write_json(
        folder / "config_sentence_transformers.json",
        {
            "model_type": "SparseEncoder",
            "__version__": {"sentence_transformers": "5.0.0" if style == "5.0" else "6.2.0"},
        },
    )


def add_pooling(
    folder: Path, style: str, pooling: str = "max", activation: str = "relu", width: int | None = BERT_TERMS
) -> None:
    key = "word_embedding_dimension" if style == "5.0" else "embedding_dimension"
    write_json(folder / "config.json", {"pooling_strategy": pooling, "activation_function": activation, key: width})


def document_route(network: str, style: str) -> list[Module]:
    """The modules of documents, whose network lies in a folder."""
    return [(NETWORK[style], network), ("SpladePooling", "document_1_SpladePooling")]


def add_router(
    folder: Path, routes: Mapping[str, Sequence[Module]], style: str, default: str | None = "document"
) -> None:
    types = {}
    for kind, name in (module for route in routes.values() for module in route):
        # until 5.3, a router's types had the class behind the file's name
        types[name] = MODULES[style][kind] + (f".{kind}" if style == "5.0" else "")
    parameters: dict[str, Any] = {"default_route": default, "allow_empty_key": True}
    add_modules(folder, [("Router", "")], style)
    write_json(
        folder / "router_config.json",
        {
            "types": types,
            "structure": {name: [path for _, path in route] for name, route in routes.items()},
            "parameters": parameters if style == "5.0" else {**parameters, "route_mappings": {}},
        },
    )


def add_prompts(folder: Path, prompts: Mapping[str, str | None], default: str | None = None) -> None:
    path = folder / "config_sentence_transformers.json"
    settings = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    write_json(path, {**settings, "prompts": dict(prompts), "default_prompt_name": default})


def add_max_seq_length(folder: Path, length: int | None) -> None:
    """As sentence-transformers wrote it until 5.3."""
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": length, "do_lower_case": False})


def add_model_max_length(folder: Path, length: int) -> None:
    """Where sentence-transformers keeps the length since 5.4."""
    path = folder / "tokenizer_config.json"
    write_json(path, {**json.loads(path.read_text(encoding="utf-8")), "model_max_length": length})


def add_static(folder: Path, weights: np.ndarray) -> None:
    write_json(folder / "config.json", {"frozen": False})
    save_file({"weight": weights.astype(np.float32)}, folder / "model.safetensors")
    tiny_tokenizer(folder)


# ---- ones that encode ----


def bert(folder: Path, kind: str = "bert", layers: int = 1) -> Path:
    """A masked language model with random weights, in which special tokens and those of the texts above have some."""
    import transformers

    folder.mkdir(parents=True, exist_ok=True)
    tiny_checkpoint(folder, kind, layers)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = {term_id for text in [*DOCUMENTS, *QUERIES] for term_id in tokenizer(text)["input_ids"]}
    tensors = load_file(folder / "model.safetensors")
    (bias,) = [name for name, tensor in tensors.items() if tensor.shape == (BERT_TERMS,)]
    tensors[bias][sorted(ids | set(tokenizer.all_special_ids))] += 2.5
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def plain(folder: Path, style: str, **pooling: Any) -> Path:
    """The same with a SpladePooling, as sentence-transformers saves it."""
    bert(folder)
    add_modules(folder, [(NETWORK[style], ""), ("SpladePooling", "1_SpladePooling")], style)
    add_pooling(folder / "1_SpladePooling", style, **pooling)
    if style == "6":
        write_json(folder / "sentence_bert_config.json", FILL_MASK)
    return folder


FILL_MASK = {
    "transformer_task": "fill-mask",
    "modality_config": {"text": {"method": "forward", "method_output_name": "logits"}},
    "module_output_name": "token_embeddings",
}


def router(folder: Path, query: Sequence[Module], style: str, network: str | None = None, **pooling: Any) -> Path:
    """Documents go through a network; the folders of the query's modules must be added."""
    network = f"document_0_{NETWORK[style]}" if network is None else network
    bert(folder / network)
    if style == "6":
        write_json(folder / network / "sentence_bert_config.json", FILL_MASK)
    add_router(folder, {"query": query, "document": document_route(network, style)}, style)
    add_pooling(folder / "document_1_SpladePooling", style, **pooling)
    return folder


def static_weights(seed: int = 5) -> np.ndarray:
    """A weight for each token; some are 0."""
    source = np.random.default_rng(seed)
    return np.where(source.random(BERT_TERMS) < 0.2, 0, source.random(BERT_TERMS) * 8).astype(np.float32)


# ---- other vocabularies ----

SPECIAL_TOKENS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
SPECIALS = {
    "bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>", "sep_token": "</s>", "unk_token": "<unk>",
    "pad_token": "<pad>", "mask_token": "<mask>",
}  # fmt: skip


def save_tokenizer(tokenizer: Tokenizer, folder: Path, max_length: int, **specials: str) -> Any:
    import transformers

    folder.mkdir(parents=True, exist_ok=True)
    wrapped = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=max_length, **specials)
    wrapped.save_pretrained(folder)
    return wrapped


def frame(tokenizer: Tokenizer, template: str) -> None:
    """Puts special tokens around a text."""
    specials = [(each, tokenizer.token_to_id(each)) for each in template.split() if each != "$A"]
    tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=specials)


def byte_level_tokenizer(
    folder: Path,
    texts: Sequence[str],
    template: str = "<s> $A </s>",
    added: Sequence[str] = (),
    max_length: int = 128,
    specials: Mapping[str, str] | None = None,
) -> Any:
    """A byte-level BPE, as RoBERTa and Llama 3 have."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(each, normalized=False) for each in added])
    frame(tokenizer, template)
    return save_tokenizer(tokenizer, folder, max_length, **(SPECIALS if specials is None else specials))


def unigram_tokenizer(folder: Path, texts: Sequence[str], max_length: int = 128) -> Any:
    """A SentencePiece-like unigram model, as XLM-R has: what up to three characters stand together how often.

    The library's own trainer gives another vocabulary each time.
    """
    words = [f"▁{word}" for text in texts for word in unicodedata.normalize("NFKC", text).split()]
    counts = Counter(word[i : i + n] for word in words for n in (1, 2, 3) for i in range(len(word) - n + 1))
    pieces = [piece for piece, count in counts.items() if count > 1 or len(piece) == 1]
    scores = [(piece, math.log(counts[piece] / counts.total())) for piece in sorted(pieces)]
    vocabulary = [(special, 0.0) for special in SPECIAL_TOKENS] + scores
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=SPECIAL_TOKENS.index("<unk>"), byte_fallback=False))
    tokenizer.add_special_tokens(SPECIAL_TOKENS)
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    frame(tokenizer, "<s> $A </s>")
    return save_tokenizer(tokenizer, folder, max_length, **SPECIALS)


def roberta_like(folder: Path, tokenizer: Any, *, xlm: bool = False, terms: int | None = None,
                 width: int = 64) -> Path:  # fmt: skip
    """A network in which a text's own tokens weigh most, and special tokens nothing.

    The layers add next to nothing, positions neither, so that every place holds its token's embedding, whose product with
    itself is the largest.
    """
    import transformers

    torch.manual_seed(1)
    kind, config = (
        (transformers.XLMRobertaForMaskedLM, transformers.XLMRobertaConfig)
        if xlm
        else (transformers.RobertaForMaskedLM, transformers.RobertaConfig)
    )
    model = kind(
        config(
            vocab_size=terms or len(tokenizer), hidden_size=width, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=16, max_position_embeddings=tokenizer.model_max_length + tokenizer.pad_token_id + 1,
            bos_token_id=tokenizer.bos_token_id, pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id, type_vocab_size=1,
        )
    )  # fmt: skip
    with torch.no_grad():
        embeddings = model.roberta.embeddings
        embeddings.word_embeddings.weight.normal_(0, 1)
        embeddings.position_embeddings.weight.normal_(0, 1e-4)
        embeddings.token_type_embeddings.weight.zero_()
        layer = model.roberta.encoder.layer[0]
        for dense in (layer.attention.output.dense, layer.output.dense):
            dense.weight.normal_(0, 1e-4)
        model.lm_head.dense.weight.copy_(torch.eye(width))
        model.lm_head.bias.fill_(-0.45 * width)
        model.lm_head.bias[tokenizer.all_special_ids] = -1e3
    model.save_pretrained(folder)
    return folder


def llama(folder: Path, texts: Sequence[str], template: str = "<s> $A") -> Path:
    """A causal language model with random weights, without a token for padding."""
    import transformers

    tokenizer = byte_level_tokenizer(folder, texts, template, specials={"bos_token": "<s>", "eos_token": "</s>"})
    torch.manual_seed(2)
    model = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=1, max_position_embeddings=128, bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id, initializer_range=0.5,
        )
    )  # fmt: skip
    model.save_pretrained(folder)
    return folder
