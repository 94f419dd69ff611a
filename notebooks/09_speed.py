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
# # Speed: engines, threads, accelerator, profile
#
# How long a search takes, what it depends on, and how long Pyserini takes for the same hits on the same index, in one run. Takes about
# a quarter of a minute and 10 MB of disk. Nothing is downloaded: the collection is generated here, and a note at the end says what to
# expect with a million documents.
#
# Times depend on the machine, and on a busy one they are noise: look at the ratios.

# %%
import os
import statistics
import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from splade_lucene import (
    Approximation,
    LuceneImpactSearcher,
    PseudoDocument,
    exhaustive_search,
    index_pseudo_documents,
    jvm,
    write_pseudo_documents,
)
from splade_lucene.jvm.pyserini_import import pyserini_importable

plt.rcParams.update({"figure.dpi": 64, "font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
work = Path(tempfile.mkdtemp())

# %% [markdown]
# ## 1. A collection
#
# Five thousand documents of up to 100 terms. Half of a document's terms are those of its topic; the others are drawn from a long tail,
# in which the n-th term has a probability proportional to 1/n. A query is twenty terms of a document. Real text is less regular; the
# scripts in `benchmarks/` use it.

# %%
DOCUMENTS, QUERIES, TERMS, TOPICS = 5_000, 40, 3_000, 50
random = np.random.default_rng(1)
tail = np.cumsum(1 / np.arange(1, TERMS + 1))
topics = random.integers(0, TERMS, (TOPICS, 150))


def make_vector(topic):
    """A document of a topic: {term: impact}."""
    own = random.choice(topics[topic], 50, replace=False)
    others = np.searchsorted(tail, random.random(60) * tail[-1])
    terms = np.unique(np.concatenate([own, others]))[:100]
    return {f"t{term}": int(impact) for term, impact in zip(terms, random.gamma(2, 40, len(terms)) + 1)}


documents = [PseudoDocument(f"d{number}", "", make_vector(number % TOPICS)) for number in range(DOCUMENTS)]
write_pseudo_documents(work / "collection.jsonl", documents)
queries = {}
for number, source in enumerate(random.choice(DOCUMENTS, QUERIES, replace=False)):
    terms = list(documents[source].vector)
    queries[f"q{number}"] = {terms[i]: int(random.integers(20, 250)) for i in random.choice(len(terms), 20, replace=False)}

start = time.perf_counter()
jvm.start()
started = time.perf_counter() - start
start = time.perf_counter()
summary = index_pseudo_documents(work / "collection.jsonl", work / "index")
seconds = time.perf_counter() - start
print(f"Java started in {started:.1f} s; indexed {summary.documents:,} documents, {summary.postings:,} postings, in {seconds:.1f} s")


# %% [markdown]
# ## 2. The first searches
#
# Postings are loaded into memory when they are first needed. The accelerator, which `index` writes by default, has these postings on
# disk in the form in which they are kept in memory, so that they need not be decoded. Compare the first pass over the queries with
# the second, on an index with an accelerator and one without.


# %%
def pass_over(searcher, k=10):
    """Mean milliseconds per query, one query after another; the docid and score of each hit are read."""
    start = time.perf_counter()
    for vector in queries.values():
        [(hit.docid, hit.score) for hit in searcher.search(vector, k)]
    return (time.perf_counter() - start) / len(queries) * 1000


index_pseudo_documents(work / "collection.jsonl", work / "plain", accelerator=False)
with LuceneImpactSearcher(work / "plain") as warming:  # so that Java has compiled the code
    for _ in range(5):
        pass_over(warming)
for name, folder in (("without accelerator", work / "plain"), ("with accelerator", work / "index")):
    with LuceneImpactSearcher(folder) as fresh:
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20
        print(f"{name:20} first pass {pass_over(fresh):6.2f} ms per query, second {pass_over(fresh):6.2f} ms; {size:5.1f} MiB")

# %% [markdown]
# ## 3. Engines
#
# Three engines find the same hits, and `auto` chooses for each query. Beside them, Pyserini's own searcher, which gets the same
# encoded queries. Each is run once before it is timed. Rounds alternate, so that a slow moment affects all, and the medians of the
# rounds are shown.

# %%
with pyserini_importable():
    from pyserini.search.lucene import LuceneImpactSearcher as PyserinisSearcher


class PassThroughEncoder:
    """A query encoder for Pyserini that returns already encoded queries unchanged."""

    def encode(self, query):
        return query


engines = ("auto", "blockmax", "maxscore", "taat")
searchers = {engine: LuceneImpactSearcher(work / "index", engine=engine) for engine in engines}
searchers["Pyserini"] = PyserinisSearcher(str(work / "index"), PassThroughEncoder(), min_idf=-1)
depths, rounds = (10, 1000), 3
times = {(name, k): [] for k in depths for name in searchers}
for turn in range(rounds + 1):
    for (name, k), measured in times.items():
        measured.append(pass_over(searchers[name], k))
medians = {key: statistics.median(measured[1:]) for key, measured in times.items()}
print(f"{'ms per query':12} {'k = 10':>8} {'k = 1000':>9} {'times as fast as Pyserini':>27}")
for name in searchers:
    ratios = " ".join(f"{medians['Pyserini', k] / medians[name, k]:9.1f}" for k in depths)
    print(f"{name:12} {medians[name, 10]:>8.2f} {medians[name, 1000]:>9.2f}        {ratios}")

figure, axes = plt.subplots(1, 2, figsize=(8, 2.3))
for axis, k in zip(axes, depths):
    axis.barh(list(searchers), [medians[name, k] for name in searchers], color=["C0"] + ["C7"] * 3 + ["C1"])
    axis.set(title=f"k = {k}", xlabel="ms per query")
    axis.invert_yaxis()
figure.tight_layout()

# %% [markdown]
# At k = 1000 much of the time is the loop over `Hit` objects. The columns `hits.docids` and `hits.scores` cost nothing.
#
# ## 4. What a search did
#
# `hits.profile` (`search --profile`) shows which engine ran, how many of the postings it added up, and where the time went. In a
# collection as small as this, nearly every block of 64 documents holds one that matters, and `auto` adds up everything.

# %%
vector = queries["q0"]
for engine in engines:
    profile = searchers[engine].search(vector, 10).profile
    print(
        f"{engine:9} ran {profile.engine:9} {profile.postings_scored:>7,} postings added up, "
        f"{profile.blocks_scored:>3} of {profile.blocks:>3} blocks scored, {profile.total:.3f} ms"
    )
print(f"{profile.postings:,} postings in all")

# %% [markdown]
# ## 5. Threads
#
# `batch_search` takes many queries at once and divides them among threads. Making fewer calls into Java helps even with one thread.

# %%
qids, vectors = list(queries), list(queries.values())
print(f"{os.cpu_count()} cores; ms per query, k = 10, docids and scores as columns")
for threads in (1, 2, 4):
    measured = []
    for turn in range(rounds + 1):
        start = time.perf_counter()
        searchers["auto"].batch_search(vectors, qids, k=10, threads=threads)
        ours = time.perf_counter() - start
        start = time.perf_counter()
        searchers["Pyserini"].batch_search(vectors, qids, 10, threads)
        measured.append((ours, time.perf_counter() - start))
    ours, theirs = (statistics.median(each) / len(qids) * 1000 for each in zip(*measured[1:]))
    print(f"{threads} threads: {ours:6.3f}, Pyserini {theirs:6.3f}, {theirs / ours:5.1f} times")

# %% [markdown]
# ## 6. Approximate search
#
# Everything so far is exact. An `Approximation` trades hits for time (`search --mode approximate`); `recall` (`--recall`) says how many.

# %%
for alpha in (1.0, 0.85, 0.7, 0.5):
    with LuceneImpactSearcher(work / "index", engine="blockmax", approximation=Approximation(alpha=alpha)) as searcher:
        pass_over(searcher)
        taken = statistics.median(pass_over(searcher) for _ in range(rounds))
        print(f"alpha {alpha:4}: recall of the best 10 {statistics.mean(searcher.recall(vectors, 10)):.3f}, {taken:.3f} ms")

# %% [markdown]
# ## 7. At a million documents
#
# Pyserini's time grows in proportion to the collection. The time of block-max pruning grows more slowly, because it looks only at the
# blocks that can still matter, so the ratio at k = 10 grows. This picture was drawn by `benchmarks/searching.py` on a virtual machine
# with two cores of an AMD EPYC (Zen 3), with up to a million documents of a generator that mixes real SPLADE vectors (2026-11-24):
#
# ![Time of a query against the size of the collection](../docs/searching.png)
#
# For figures of your own: `python benchmarks/searching.py --documents 50000 200000`, or `search --profile` on your index. What to know
# first:
#
# - Java's heap holds the postings that were needed; `SPLADE_LUCENE_HEAP=8g` makes it larger. What does not fit is read from Lucene,
#   which is slower.
# - `index --order bp`, the default, numbers documents so that those that share terms are neighbours. Without it, the bounds of blocks
#   are loose.
# - Encoding a query takes longer than searching for it: about ten milliseconds with a small model. Models whose queries come from a
#   table (`splade-minilm-doc`) avoid that.
#
# Speed is worth nothing if hits differ. Every engine returns the hits of the exhaustive sum over all documents, ties included, and
# Pyserini has the same scores.

# %%
for k in depths:
    found = {name: searcher.batch_search(vectors, qids, k) for name, searcher in searchers.items()}
    for qid in qids:
        expected = [(hit.docid, hit.score) for hit in found["auto"][qid]]
        for engine in engines:
            assert [(hit.docid, hit.score) for hit in found[engine][qid]] == expected
        assert [round(hit.score) for hit in found["Pyserini"][qid]] == [score for _, score in expected]
for qid in qids[:3]:
    hits = searchers["auto"].search(queries[qid], 100)
    assert exhaustive_search(documents, queries[qid], 100) == list(zip(hits.docids, hits.scores.tolist()))
for searcher in searchers.values():
    searcher.close()
"identical"
