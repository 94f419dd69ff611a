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
# # Quickstart: from text to an evaluated run
#
# Takes about half a minute and 2 MB of disk. Nothing is downloaded: the model comes with the package, the corpus is
# written below, and Java is a Python package.
#
# The flow is always the same, and each arrow is one call:
#
#     corpus → encoder → quantizer → pseudo-documents → Lucene impact index → searcher → run → evaluation

# %%
import tempfile
from pathlib import Path

from splade_lucene import (
    LuceneImpactSearcher,
    PyseriniSearcher,
    Quantizer,
    Run,
    SpladeEncoder,
    encode_corpus,
    evaluate,
    index_pseudo_documents,
    read_pseudo_documents,
)

work = Path(tempfile.mkdtemp())
(work / "corpus.tsv").write_text(
    "d1\tThe heart pumps blood through arteries and veins.\n"
    "d2\tA relational database stores rows in tables and is queried with SQL.\n"
    "d3\tPhotosynthesis turns sunlight, water and carbon dioxide into sugar.\n"
    "d4\tAn index lets a search engine find documents without reading them all.\n"
    "d5\tThe court ruled that the law violated the constitution.\n"
)

# %% [markdown]
# ## 1. Encode
#
# `SpladeEncoder()` loads the embedded model; give a folder or a hub name for another. The weights are floats, one for each
# vocabulary term that the text is about, whether the text contains the term or not. By default, documents are encoded in
# bfloat16 where the processor supports it natively; float32 gives the same figures on every machine.

# %%
encoder = SpladeEncoder(dtype="float32")
weights = encoder.encode_queries(["how do plants make food"])[0]
sorted(((round(weight, 2), term) for term, weight in weights.items()), reverse=True)[:8]

# %% [markdown]
# ## 2. Quantize, and write pseudo-documents
#
# Lucene stores integers. A rule turns weights into impacts. The manifest next to the pseudo-documents records the rule, so
# that queries are quantized to match.

# %%
rule = Quantizer.named("naver")  # w × 100, half to even, as naver/splade and Anserini's DistilSPLADE-max do
manifest = encode_corpus(work / "corpus.tsv", work / "pseudo-documents", encoder, rule)
first = next(read_pseudo_documents(work / "pseudo-documents"))
manifest.documents, first.docid, list(first.vector.items())[:6]

# %% [markdown]
# ## 3. Index
#
# The index is the one that Anserini's `IndexCollection -collection JsonVectorCollection -impact -pretokenized` builds.

# %%
index_pseudo_documents(work / "pseudo-documents", work / "index")

# %% [markdown]
# ## 4. Search
#
# The searcher has Pyserini's signatures. A query is a text, which is encoded with the model that the manifest names, or a
# mapping of terms to impacts.

# %%
searcher = LuceneImpactSearcher(work / "index")
for hit in searcher.search("how do plants make food", k=3):
    print(f"{hit.docid}  {hit.score:>9,.0f}  {hit.contents}")

# %% [markdown]
# Why is the first hit first? Each shared term adds query impact × document impact; the products sum to the score exactly.

# %%
best = searcher.search("how do plants make food", k=1)[0]
contributions = searcher.explain("how do plants make food", best.docid)
for each in contributions[:6]:
    print(f"{each.term:16} {each.query_impact:>4} × {each.document_impact:>4} = {each.product:>7,}")
assert sum(each.product for each in contributions) == best.score

# %% [markdown]
# ## 5. Run and evaluate

# %%
topics = {"q1": "how do plants make food", "q2": "structured query language", "q3": "circulatory system"}
qrels = {"q1": {"d3": 1}, "q2": {"d2": 1}, "q3": {"d1": 1}}
run = Run(searcher.batch_search(list(topics.values()), list(topics), k=10, threads=2))
run.write(work / "run.trec")
evaluate(qrels, run, ["nDCG@10", "RR@10"])

# %% [markdown]
# ## 6. The same through Pyserini itself
#
# Pyserini's own searcher opens the same index and takes the same queries. The run is the same, hit by hit.

# %%
with PyseriniSearcher(work / "index") as pyserini:
    theirs = Run(pyserini.batch_search(list(topics.values()), list(topics), k=10))
assert dict(theirs) == dict(run)
searcher.close()
"identical"
