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
# # Train a model on your own corpus
#
# Takes about two minutes on two cores and 0.6 GB of disk, at toy size: 24 steps, where a real run has thousands. Nothing
# is downloaded. It needs the extra `train` (`pip install -e '.[train]'`).
#
# The steps are
#
#     config → base → examples → trainer → checkpoint → index → measures
#
# ## 1. A corpus, queries and pairs
#
# The corpus is a part of Python's documentation. The queries are names of objects, written as words. For half of them,
# training gets the answer, as a pair of query and passage. The other half is held out for the measurement.
#
# Without pairs, a *teacher* takes their place: name a `teacher:` in the configuration (BM25, a dense encoder, a cross-encoder,
# or a sum of them) and leave `examples` out. Candidates are then mined, and the teacher ranks them. The teacher must be better
# than the model: BM25 cannot handle dotted names, and with BM25 as its only teacher the model here gets worse.

# %%
import json
import tempfile
from pathlib import Path

from splade_lucene import read_corpus
from splade_lucene.training import read_config, train

work = Path(tempfile.mkdtemp())
modules = ("json", "csv", "pathlib", "statistics", "textwrap", "calendar")
documents = [each for each in read_corpus("python-docs") if each.docid.startswith(modules)]
with (work / "passages.jsonl").open("w") as file:
    for each in documents:
        file.write(json.dumps({"id": each.docid, "text": each.text}) + "\n")
with (
    (work / "queries.tsv").open("w") as queries,
    (work / "pairs.jsonl").open("w") as pairs,
    (work / "qrels.txt").open("w") as qrels,
):
    for number, each in enumerate(documents):
        words = each.docid.replace(".", " ").replace("_", " ").lower()
        queries.write(f"q{number}\t{words}\n")
        if number % 2:
            pairs.write(json.dumps({"qid": f"q{number}", "positive_id": each.docid}) + "\n")
        else:
            qrels.write(f"q{number} 0 {each.docid} 1\n")
len(documents) > 100

# %% [markdown]
# ## 2. The configuration
#
# One YAML file. Paths are relative to it, and a wrong key or value is reported with its line before anything is loaded.
# `base` is the embedded model, which is adapted to the corpus. Another base, such as an encoder without a masked-LM head,
# gets a head first.

# %%
(work / "config.yaml").write_text("""\
recipe: splade-max              # or splade, splade-doc, distilsplade-max
base: splade-minilm
output: out
data:
  passages: passages.jsonl
  queries: queries.tsv
  examples: pairs.jsonl
sparsity:
  query_terms: 30               # the regularizer aims for these counts
  document_terms: 150
optimization:
  steps: 24
  queries: 8
  passages: 2                   # the second one is drawn at random
  max_length: 48
  learning_rate: 2.0e-5
  head_learning_rate: 2.0e-5
  precision: float32
validation:
  corpus: passages.jsonl
  topics: queries.tsv
  qrels: qrels.txt
  max_length: 64
""")
config = read_config(work / "config.yaml")
config.recipe, config.optimization.steps

# %% [markdown]
# ## 3. Train
#
# On the command line this is `splade-lucene train config.yaml`. A killed run resumes from its last complete checkpoint. The
# log has the loss, FLOPS, and the active terms of both sides.

# %%
result = train(config, device="cpu")
log = [json.loads(line) for line in (work / "out" / "log.jsonl").read_text().splitlines()]
[entry["step"] for entry in log if "loss" in entry]

# %% [markdown]
# The model is an ordinary checkpoint: this package, sentence-transformers and Pyserini read it. Next to it are a model card
# and all settings.

# %%
sorted(path.name for path in result.model.iterdir() if path.is_file())

# %% [markdown]
# ## 4. Was it worth it?
#
# The figures come from a Lucene index of quantized impacts, as in a real search, and from queries that training did not
# see.

# %%
from splade_lucene.models import embedded_model_folder
from splade_lucene.training.validation import measure_model

before = measure_model(embedded_model_folder(), config.validation, work / "before", device="cpu")
for name in ("nDCG@10", "query_terms", "document_terms", "flops"):
    print(f"{name:16} {before[name]:8.3f} → {result.figures[name]:8.3f}")
figures_rose = result.figures["nDCG@10"] >= before["nDCG@10"]

# %% [markdown]
# ## 5. Use it

# %%
from splade_lucene import SpladeEncoder

weights = SpladeEncoder(result.model, device="cpu", dtype="float32").encode_queries(["read a json file"])[0]
"better" if figures_rose and {"file", "read"} <= set(weights) else sorted(weights)
