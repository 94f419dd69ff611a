# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Bring your own model
#
# Takes about half a minute and 25 MB of disk. Nothing is downloaded: the checkpoints are created here, tiny and with random
# weights, in the layouts that are in use; what depends on a real model is shown with the embedded one. For the comparison it
# needs sentence-transformers (`pip install -e '.[train]'`).
#
# A model is a folder or a hub name. Its own files decide how it is used, never the spelling of its name:
#
#     splade-lucene models PATH                                     what it is, and which file says so
#     splade-lucene build --corpus corpus.jsonl --index index --model PATH
#
# The index remembers the model, its settings, and a digest of what encodes queries. A search loads the same model again, and
# refuses a different one of the same name.

# %% [markdown]
# ## 1. Three checkpoints
#
# - `plain`: a masked language model as transformers saves it. Most SPLADE models on the hub are such folders.
# - `sentence-transformers`: a `SparseEncoder`, with `modules.json` and a pooling module.
# - `inference-free`: OpenSearch's document-only layout: a network for documents, and `idf.json` with a weight for each token of a
#   query.

# %%
import contextlib
import io
import json
import os
import shutil
import tempfile
from pathlib import Path

import torch
from transformers import AutoTokenizer, BertConfig, BertForMaskedLM

from splade_lucene.models import embedded_model_folder

work = tempfile.TemporaryDirectory()
tokenizer = AutoTokenizer.from_pretrained(embedded_model_folder())
os.chdir(work.name)  # relative names below

torch.manual_seed(0)
network = BertForMaskedLM(
    BertConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=48, max_position_embeddings=128)
)
torch.nn.init.normal_(network.cls.predictions.bias, mean=-1.3, std=0.5)  # most terms are silent, as in a trained model
network.save_pretrained("plain")
tokenizer.save_pretrained("plain")

from sentence_transformers import SparseEncoder

SparseEncoder("plain", device="cpu").save_pretrained("sentence-transformers")

shutil.copytree("plain", "inference-free")
rare = {token: round(1 + term_id / len(tokenizer), 3) for token, term_id in tokenizer.get_vocab().items()}
Path("inference-free", "idf.json").write_text(json.dumps(rare))

sorted(path.name for path in Path("sentence-transformers").iterdir())

# %% [markdown]
# ## 2. What is it?
#
# Read the lines `documents`, `queries` and `found` before anything else: if they are not what the model's paper or card says,
# the index will be silently wrong. Everything can be set by hand: `--pooling`, `--activation`, `--query-mode`,
# `--query-model`, `--drop-specials`, the lengths and prefixes (docs/models.md).

# %%
from splade_lucene.cli.app import app  # the command line, in this process


def splade_lucene(command):
    """Runs a command and returns what it prints."""
    printed, notes = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(notes):
        code = app(command.split(), standalone_mode=False)
    assert not code, notes.getvalue()
    return printed.getvalue().replace(f"{Path.cwd()}/", "")


print("\n".join(splade_lucene(f"models {name}") for name in ("plain", "sentence-transformers", "inference-free")))

# %% [markdown]
# ## 3. Does it compute what its authors compute?
#
# The check that counts: the same texts through the model's own library. Here that is SPLADE's formula on transformers' logits, and
# sentence-transformers' `SparseEncoder`. In float32 the weights agree to the last digits, and the quantized impacts are the same
# except for weights at the boundary between two impacts.

# %%
import numpy as np

from splade_lucene import DocumentSettings, QuerySettings, SpladeEncoder

texts = ["Lucene writes an inverted index of the terms of each document.", "The heart pumps blood through the body."]


def by_transformers(folder):
    """max over tokens of log(1 + relu(logit)), one text at a time; shape [texts, terms]."""
    model, rows = BertForMaskedLM.from_pretrained(folder).eval(), []
    for text in texts:
        with torch.no_grad():
            logits = model(**tokenizer(text, return_tensors="pt")).logits[0]
        rows.append(torch.log1p(torch.relu(logits)).max(dim=0).values.numpy())
    return np.array(rows)


def by_sentence_transformers(folder):
    return SparseEncoder(folder, device="cpu").encode_document(texts, convert_to_sparse_tensor=False).numpy()


def by_splade_lucene(folder):
    encoder = SpladeEncoder(folder, device="cpu", dtype="float32")
    rows = np.zeros((len(texts), len(tokenizer)), dtype=np.float32)
    for row, weights in zip(rows, encoder.encode_documents(texts), strict=True):
        for term, weight in weights.items():
            row[tokenizer.convert_tokens_to_ids(term)] = weight
    return rows


differences = {
    "plain": np.abs(by_splade_lucene("plain") - by_transformers("plain")).max(),
    "sentence-transformers": np.abs(by_splade_lucene("sentence-transformers") - by_sentence_transformers("sentence-transformers")).max(),
}
specials = tokenizer.all_special_ids
inference_free, wanted = by_splade_lucene("inference-free"), by_transformers("inference-free")
assert not inference_free[:, specials].any()  # special tokens are not terms in this layout
wanted[:, specials] = 0
differences["inference-free"] = np.abs(inference_free - wanted).max()
agrees = all(difference < 1e-5 for difference in differences.values())
print("\n".join(f"{name:24} largest difference below 1e-5: {difference < 1e-5}" for name, difference in differences.items()))

# %% [markdown]
# ## 4. The quantizer
#
# Lucene stores integers, so weights are multiplied and rounded. Use the rule that the model's published corpora and topics use
# (`splade-lucene models` names it for known models); for a model of your own, measure. On the command line:
#
#     splade-lucene report --corpus corpus.jsonl --quantizer naver --topics topics.tsv --qrels qrels.txt
#
# Here the embedded model, on twenty objects of Python's documentation, each the answer to one of twenty questions: float weights
# against two rules, and against a scale that is too small.

# %%
from splade_lucene import Quantizer, read_corpus
from splade_lucene.demo import read_questions
from splade_lucene.evaluation.loss_report import measure_loss

questions = [(query, relevant) for query, relevant in read_questions() if len(relevant) == 1][:20]
answers = {docid for _, relevant in questions for docid in relevant}
with Path("corpus.jsonl").open("w") as file:
    for each in read_corpus("python-docs"):
        if each.docid in answers:
            file.write(json.dumps({"id": each.docid, "contents": each.text}) + "\n")
Path("topics.tsv").write_text("".join(f"{query.qid}\t{query.text}\n" for query, _ in questions))
Path("qrels.txt").write_text("".join(f"{query.qid} 0 {docid} 1\n" for query, relevant in questions for docid in relevant))

encoder = SpladeEncoder(documents=DocumentSettings(max_length=64), device="cpu", dtype="float32")
rules = {name: Quantizer.named(name) for name in ("naver", "pyserini")} | {"scale 2": Quantizer.named("naver", scale=2)}
lines = [f"{'rule':18}{'relative L2':>12}{'terms lost':>12}{'terms':>8}{'nDCG@10':>10}"]
for name, rule in rules.items():
    exact, *_, indexed = measure_loss("corpus.jsonl", encoder, rule, topics=Path("topics.tsv"), qrels=Path("qrels.txt")).rows
    if len(lines) == 1:
        lines.append(f"{'float weights':18}{exact.relative_l2:>12.5f}{exact.terms_lost:>12.2%}{exact.terms:>8.1f}{exact.effectiveness['nDCG@10']:>10.4f}")
    lines.append(f"{name:18}{indexed.relative_l2:>12.5f}{indexed.terms_lost:>12.2%}{indexed.terms:>8.1f}{indexed.effectiveness['nDCG@10']:>10.4f}")
print("\n".join(lines))

# %% [markdown]
# A hundred impacts per unit of weight lose next to nothing. A model whose weights are small needs a larger scale: OpenSearch's
# doc-v3 takes the logarithm twice, and its weights reach only about 1.3.
#
# ## 5. How queries are encoded
#
# | `--query-mode` | needs | query weights |
# |---|---|---|
# | `model` | a network | the model's weights for every term, expansions too |
# | `lexical` | a network | the model's weights, for the query's own terms only |
# | `binary` | a tokenizer | each token 1 (SPLADE-doc) |
# | `table` | a tokenizer | each token as the checkpoint's table says (OpenSearch, `splade-minilm-doc`) |
#
# And `--query-model` names a smaller network for queries (efficient SPLADE). The documents are the same for all of these, so one
# index is enough to compare them.

# %%
from splade_lucene import LuceneImpactSearcher, Run, SpladeQueryEncoder, encode_corpus, evaluate, index_pseudo_documents

rule = Quantizer.named("naver")
encode_corpus("corpus.jsonl", "pseudo-documents", encoder, rule)
index_pseudo_documents("pseudo-documents", "index")
encoders = {
    "model": encoder,
    "lexical": SpladeEncoder(queries=QuerySettings(mode="lexical"), device="cpu"),
    "binary": SpladeEncoder(queries=QuerySettings(mode="binary")),
    "table": SpladeEncoder("splade-minilm-doc"),
}
qids, questions_text = [query.qid for query, _ in questions], [query.text for query, _ in questions]
lines = []
for mode, of_queries in encoders.items():
    query_encoder = SpladeQueryEncoder(of_queries, rule)
    with LuceneImpactSearcher("index", query_encoder) as searcher:
        run = Run(searcher.batch_search(questions_text, qids, k=100))
    vector = query_encoder.encode("binary search in a sorted list")
    shown = ", ".join(f"{term} {impact}" for term, impact in list(vector.items())[:6])
    lines.append(f"{mode:8} nDCG@10 {evaluate('qrels.txt', run, ['nDCG@10'])['nDCG@10']:.3f}  {len(vector):>3} terms: {shown}")
print("\n".join(lines))

# %% [markdown]
# ## 6. Before you encode a large collection
#
# 1. `models PATH` says pooling, activation and query side as the model's card does (section 2).
# 2. Weights equal those of the model's own library on a few texts (section 3). Differences of about 10⁻⁶ are float arithmetic;
#    larger ones are not.
# 3. The prefixes are right: a model that was trained with "query: " needs it.
# 4. The lengths: texts are cut at `max_length` tokens. `--passage-tokens` splits longer ones.
# 5. The loss of precision, pruning and quantization together: `splade-lucene report` (section 4).
# 6. Terms per document and query are what the card says: tens for queries, one to two hundred for documents. Thousands mean a
#    wrong pooling or a model without sparsity.
# 7. `splade-lucene explain` on a few hits shows terms that a person would expect.

# %%
"identical" if agrees else differences
