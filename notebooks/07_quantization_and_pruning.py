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
# # Quantization and pruning: what they lose
#
# Every rule that turns weights into impacts and every way to prune terms, with what each loses: distance of the vectors, terms,
# effectiveness. Takes about a quarter of a minute and 2 MB of disk. Nothing is downloaded: the corpus is the documentation of the
# Python that runs this, cut to a few hundred documents, and the questions come with the package.

# %%
import json
import tempfile
from pathlib import Path
from zlib import crc32

import matplotlib.pyplot as plt
import numpy as np
from scipy.sparse import csr_matrix

from splade_lucene import (
    DocumentSettings,
    LuceneImpactIndexer,
    LuceneImpactSearcher,
    PseudoDocument,
    Pruning,
    Quantizer,
    Run,
    SpladeEncoder,
    evaluate,
    read_corpus,
)
from splade_lucene.demo import read_questions
from splade_lucene.evaluation.loss_report import measure_loss
from splade_lucene.quantizer import RULES

plt.rcParams.update({"figure.dpi": 64, "font.size": 9, "axes.spines.top": False, "axes.spines.right": False})

questions = list(read_questions())[:40]
qrels = {query.qid: dict.fromkeys(relevant, 1) for query, relevant in questions}
judged = {docid for relevant in qrels.values() for docid in relevant}
corpus = [each for each in read_corpus("python-docs") if each.docid in judged or crc32(each.docid.encode()) % 140 == 0]
len(corpus), len(questions), corpus[0].docid

# %% [markdown]
# ## 1. Encode once
#
# Everything below works on these weights. The reference is float32 without pruning.

# %%
encoder = SpladeEncoder(documents=DocumentSettings(max_length=40), dtype="float32")
documents = encoder.encode_documents([document.text for document in corpus])
queries = encoder.encode_queries([query.text for query, _ in questions])
print(f"{documents.counts.mean():.1f} terms per document, {queries.counts.mean():.1f} per query")
print("weights: least {:.6f}, median {:.3f}, largest {:.3f}".format(*np.quantile(documents.weights, [0, 0.5, 1])))

# %% [markdown]
# Three figures show what is lost. The *relative L2* is the distance of all document vectors from the exact ones, over the length of
# the exact ones; impacts are divided by the rule's scale first. *Terms lost* is the share of entries that are gone. nDCG@10 is what a
# user notices. Rankings are computed as a matrix product here; the end of this guide checks them with Lucene.


# %%
def matrix(rows, scale=1.0):
    """Weights or impacts as a sparse matrix of shape [texts, terms]."""
    cells = (rows.values.astype(float) / scale, rows.term_ids, rows.starts)
    return csr_matrix(cells, shape=(len(rows), len(rows.terms)), copy=True)


def ranked(query_rows, document_rows):
    """The run of all questions: score descending, then docid ascending."""
    docids = np.array([document.docid for document in corpus])
    rankings = {}
    for (query, _), scores in zip(questions, (matrix(query_rows) @ matrix(document_rows).T).toarray()):
        best = [i for i in np.lexsort((docids, -scores))[:100] if scores[i] > 0]
        rankings[query.qid] = [(str(docids[i]), float(scores[i])) for i in best]
    return Run(rankings)


exact = matrix(documents)
length = np.linalg.norm(exact.data)


def loss(document_rows, query_rows=queries, scale=1.0):
    """Relative L2, share of terms lost, terms per document, nDCG@10."""
    found = matrix(document_rows, scale)
    return (
        float(np.linalg.norm((found - exact).data) / length),
        1 - found.multiply(exact).nnz / exact.nnz,
        float(document_rows.counts.mean()),
        evaluate(qrels, ranked(query_rows, document_rows), ["nDCG@10"])["nDCG@10"],
    )


def show(name, figures):
    l2, lost, terms, ndcg = figures
    print(f"{name:34} {l2:9.5f} {lost:8.2%} {terms:8.1f} {ndcg:8.4f}")


heading = f"{'':34} {'L2':>9} {'lost':>8} {'terms':>8} {'nDCG@10':>8}"
print(heading)
whole = loss(documents)
show("float32, nothing pruned", whole)

# %% [markdown]
# ## 2. The five rules
#
# A rule is a scale, a rounding and the precision of the arithmetic, for documents and for queries. All of them are in use. Take the
# rule of the collection or topics that yours has to match. `--quantizer auto` takes the model's usual rule.

# %%
print(heading)
for name, rule in RULES.items():
    impacts = documents.impacts(rule, "document")
    figures = loss(impacts, queries.impacts(rule, "query"), rule.document.scale)
    show(f"{name}: documents x{rule.document.scale:g}, {rule.document.rounding}", figures)

# %% [markdown]
# Rounding to the nearest costs at most half an impact per term. Truncating, as pyt_splade does, costs up to a whole one, and drops
# every weight below a hundredth. None of them changes the ranking by much.
#
# ## 3. How coarse can the scale be?
#
# A smaller scale gives smaller numbers, which compress better, and loses the lightest terms.

# %%
scales = [1, 2, 3, 5, 10, 20, 51.2, 100, 200]
coarse = []
print(heading)
for scale in scales:
    rule = Quantizer.named("naver", scale=scale)
    coarse.append(loss(documents.impacts(rule, "document"), queries.impacts(rule, "query"), scale))
    show(f"x{scale:g}", coarse[-1])

figure, (left, right) = plt.subplots(1, 2, figsize=(8, 2.8))
left.loglog(scales, [figures[0] for figures in coarse], "o-", color="C0")
left.set(xlabel="impacts per unit of weight", ylabel="relative L2")
right.semilogx(scales, [figures[3] for figures in coarse], "o-", color="C1")
right.axhline(whole[3], color="grey", lw=0.8, ls="--", label="float32")
right.set(xlabel="impacts per unit of weight", ylabel="nDCG@10", ylim=(0, None))
right.legend(frameon=False)
figure.tight_layout()

# %% [markdown]
# ## 4. Four ways to prune
#
# `Pruning` drops terms before they are quantized: all but the heaviest (`top_terms`), those below a weight (`min_weight`), those
# below a share of the text's heaviest (`max_ratio`), or those left once the heaviest make up a share of all weight (`kept_mass`).
# The four can be combined; a term stays if each of them keeps it.

# %%
criteria = {
    "top_terms": [128, 96, 64, 48, 32, 16, 8],
    "min_weight": [0.05, 0.1, 0.2, 0.4, 0.6, 0.8],
    "max_ratio": [0.05, 0.1, 0.2, 0.3, 0.4, 0.6],
    "kept_mass": [0.99, 0.95, 0.9, 0.8, 0.6, 0.4],
}
pruned = {}
print(heading)
for criterion, values in criteria.items():
    for value in values:
        pruned[criterion, value] = loss(documents.prune(Pruning(**{criterion: value})))
        show(f"{criterion} = {value}", pruned[criterion, value])

# %% [markdown]
# Which one is best? Compare them at the same number of terms, because that is what an index and a search pay for.

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 2.8))
for criterion, values in criteria.items():
    terms = [pruned[criterion, value][2] for value in values]
    left.plot(terms, [pruned[criterion, value][0] for value in values], "o-", ms=3, label=criterion)
    right.plot(terms, [pruned[criterion, value][3] for value in values], "o-", ms=3)
right.axhline(whole[3], color="grey", lw=0.8, ls="--")
left.set(xlabel="terms per document", ylabel="relative L2")
right.set(xlabel="terms per document", ylabel="nDCG@10", ylim=(0, None))
left.legend(frameon=False)
figure.tight_layout()

# %% [markdown]
# The L2 curves almost coincide: at the same size, the heaviest terms hold most of the vector, however they were chosen.
# `top_terms`, which gives a long text no more terms than a short one, loses a little more. nDCG@10 stays near the exact value for
# much longer than L2 does. With about forty questions, differences of a few hundredths are noise: on a collection of your own, judge
# with your own queries.
#
# ## 5. The same from the command line, and through Lucene
#
#     splade-lucene report --corpus corpus.jsonl --top-terms 64 --topics topics.tsv --qrels qrels.txt
#
# prints this table for one choice of rule and pruning. It encodes a sample of the corpus by itself; `measure_loss` is the function
# behind it.

# %%
work = Path(tempfile.mkdtemp())
with open(work / "corpus.jsonl", "w", encoding="utf-8") as file:
    file.writelines(json.dumps({"id": document.docid, "contents": document.text}) + "\n" for document in corpus)
(work / "topics.tsv").write_text("".join(f"{query.qid}\t{query.text}\n" for query, _ in questions))
(work / "qrels.txt").write_text("".join(f"{q} 0 {d} 1\n" for q, docids in qrels.items() for d in docids))
rule, pruning = Quantizer.named("naver"), Pruning(top_terms=64)
report = measure_loss(
    work / "corpus.jsonl", encoder, rule, pruning=pruning, sample=len(corpus),
    topics=work / "topics.tsv", qrels=work / "qrels.txt",
)
print(heading)
for row in report.rows:
    show(row.name, (row.relative_l2, row.terms_lost, row.terms, row.effectiveness["nDCG@10"]))

# %% [markdown]
# Its rows are those of this guide, and Lucene ranks the pruned, quantized documents as the matrix product does.

# %%
impacts = documents.prune(pruning).impacts(rule, "document")
here = [whole, pruned["top_terms", 64], loss(impacts, queries.impacts(rule, "query"), 100)]
for mine, row in zip(here, (report.rows[0], report.rows[1], report.rows[-1])):
    theirs = (row.relative_l2, row.terms_lost, row.terms, row.effectiveness["nDCG@10"])
    assert np.allclose(mine, theirs, atol=1e-6), (mine, theirs)

with LuceneImpactIndexer(work / "index") as indexer:
    indexer.add(PseudoDocument(document.docid, "", impacts[i]) for i, document in enumerate(corpus) if impacts[i])
with LuceneImpactSearcher(work / "index") as searcher:
    vectors = queries.quantize(rule, "query")
    found = Run(searcher.batch_search(vectors, [query.qid for query, _ in questions], k=100))
assert dict(found) == dict(ranked(queries.impacts(rule, "query"), impacts))
"identical"
