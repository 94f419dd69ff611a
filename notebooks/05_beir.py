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
# # BEIR
#
# Takes a quarter of a minute and 2 MB of disk by default: two small collections in BEIR's layout are made from Python's
# documentation and the questions that come with the package, and go through the same loop as real ones. What needs a network is
# marked, and is skipped unless you ask for it and there is one.
#
# A BEIR collection is a folder:
#
# | file | contents |
# |---|---|
# | `corpus.jsonl` | `{"_id": …, "title": …, "text": …}`; title and text are joined by a space, as in BEIR and Anserini |
# | `queries.jsonl` | `{"_id": …, "text": …}`, of all splits |
# | `qrels/test.tsv` | query-id, corpus-id and score between tabs, under a header |
#
# On the command line, one collection is
#
#     splade-lucene build    --corpus nfcorpus --index indexes/nfcorpus --model naver/splade-v3
#     splade-lucene search   --index indexes/nfcorpus --topics nfcorpus/queries.jsonl --hits 1000 --output runs/nfcorpus.trec
#     splade-lucene evaluate --qrels nfcorpus/qrels/test.tsv --run runs/nfcorpus.trec --measures "nDCG@10 R@100"

# %% [markdown]
# ## 1. Two collections in BEIR's layout
#
# Each has the questions whose answers are all in some modules, the answers, and every twelfth object of these modules.

# %%
import json
import os
import tempfile
from pathlib import Path

from splade_lucene import read_corpus
from splade_lucene.demo import read_questions

work = tempfile.TemporaryDirectory()
os.chdir(work.name)  # relative names below

collections = {
    "files": ("os", "pathlib", "shutil", "glob", "tempfile", "fnmatch", "zipfile", "tarfile", "gzip", "csv", "json"),
    "objects": ("collections", "heapq", "bisect", "itertools", "functools", "queue", "copy", "random", "statistics", "re", "textwrap"),
}
documents = list(read_corpus("python-docs"))
for name, modules in collections.items():
    inside = [each for each in documents if each.docid.split(".")[0] in modules]
    docids = {each.docid for each in inside}
    questions = [(query, relevant) for query, relevant in read_questions() if docids.issuperset(relevant)]
    answers = {docid for _, relevant in questions for docid in relevant}
    folder = Path("beir", name)
    (folder / "qrels").mkdir(parents=True)
    with (folder / "corpus.jsonl").open("w") as file:
        for number, each in enumerate(inside):
            if each.docid in answers or number % 12 == 0:
                file.write(json.dumps({"_id": each.docid, "title": "", "text": each.text}) + "\n")
    with (folder / "queries.jsonl").open("w") as file:
        file.writelines(json.dumps({"_id": query.qid, "text": query.text}) + "\n" for query, _ in questions)
    with (folder / "qrels" / "test.tsv").open("w") as file:
        file.write("query-id\tcorpus-id\tscore\n")
        file.writelines(f"{query.qid}\t{docid}\t1\n" for query, relevant in questions for docid in relevant)

sorted(path.relative_to("beir").as_posix() for path in Path("beir").rglob("*") if path.is_file())

# %% [markdown]
# ## 2. One collection, end to end
#
# Two things are easy to get wrong.
#
# - `queries.jsonl` holds the queries of all splits; only the judged ones need to be searched.
# - In ArguAna and Quora the queries are documents of the corpus. Anserini drops, from each ranking, the document with the
#   query's own id (`-removeQuery`), in all BEIR collections; so does this function.

# %%
from splade_lucene import (
    DocumentSettings,
    LuceneImpactSearcher,
    Quantizer,
    Run,
    SpladeEncoder,
    SpladeQueryEncoder,
    encode_corpus,
    evaluate,
    index_pseudo_documents,
    index_texts,
    read_qrels,
    read_topics,
    search_texts,
)

encoder = SpladeEncoder(documents=DocumentSettings(max_length=64), dtype="float32")  # for real figures: SpladeEncoder("naver/splade-v3"), whole texts
rule = Quantizer.named("naver")  # "pyserini" for SPLADE-v3
queries = SpladeQueryEncoder(encoder, rule)
measures = ["nDCG@10", "R@100"]


def without_queries(rankings):
    """The run without the documents that have the query's own id."""
    return Run({qid: [(docid, score) for docid, score in hits if docid != qid] for qid, hits in Run(rankings).items()})


def run_collection(folder, work):
    """Builds, searches and evaluates a BEIR folder with SPLADE and BM25: system → measure → mean."""
    qrels = read_qrels(folder / "qrels" / "test.tsv")
    topics = [query for query in read_topics(folder / "queries.jsonl") if query.qid in qrels]
    encode_corpus(folder, work / "pseudo-documents", encoder, rule)
    index_pseudo_documents(work / "pseudo-documents", work / "index")
    with LuceneImpactSearcher(work / "index", queries) as searcher:
        hits = searcher.batch_search([query.text for query in topics], [query.qid for query in topics], k=1001, threads=2)
    index_texts(read_corpus(folder), work / "bm25-index", overwrite=True)
    runs = {"BM25": search_texts(work / "bm25-index", topics, 1001), "SPLADE": hits}
    table = {}
    for system, rankings in runs.items():
        run = without_queries(rankings)
        run.write(work / f"{system}.trec", tag=system)
        table[system] = evaluate(qrels, run, measures)
    return table


# %% [markdown]
# ## 3. The loop over collections

# %%
table = {name: run_collection(Path("beir", name), Path("work", name)) for name in collections}
means = {
    system: {measure: sum(table[name][system][measure] for name in table) / len(table) for measure in measures}
    for system in ("BM25", "SPLADE")
}
rows = [f"{'':10}" + "".join(f"{measure + ' ' + system:>16}" for measure in measures for system in means)]
for name, figures in {**table, "mean": means}.items():
    rows.append(f"{name:10}" + "".join(f"{figures[system][measure]:>16.4f}" for measure in measures for system in means))
print("\n".join(rows))

# %% [markdown]
# BEIR's own evaluation calls pytrec_eval, which is trec_eval's code. So does `evaluate` when given trec_eval's names:

# %%
for name in collections:
    found = evaluate(Path("beir", name, "qrels", "test.tsv"), Path("work", name, "SPLADE.trec"), ["ndcg_cut_10", "recall_100"])
    for ours, theirs in zip(table[name]["SPLADE"].values(), found.values(), strict=True):
        assert abs(ours - theirs) < 1e-12
{name: round(value, 4) for name, value in found.items()}

# %% [markdown]
# ## 4. The real collections
#
# What Anserini 1.7.1 publishes for corpora and queries that it encoded, nDCG@10, from the catalogue of `splade-lucene reproduce`
# (`--show NAME` gives the source of each figure):

# %%
from splade_lucene.reproduction import read_catalogue

published = {}
for entry in read_catalogue().values():
    if entry.collection.startswith("beir-v1.0.0-") and entry.system.name in ("splade-pp-ed", "splade-v3"):
        row = published.setdefault(entry.collection.removeprefix("beir-v1.0.0-"), {"documents": entry.documents, "queries": entry.judged})
        row[entry.system.name] = entry.system.published["nDCG@10"]
rows = [f"{'':25}{'documents':>12}{'queries':>9}{'SPLADE++ ED':>13}{'SPLADE-v3':>11}"]
for name, row in sorted(published.items(), key=lambda item: item[1]["documents"]):
    rows.append(f"{name:25}{row['documents']:>12,}{row['queries']:>9,}{row['splade-pp-ed']:>13.4f}{row['splade-v3']:>11.4f}")
print("\n".join(rows))

# %% [markdown]
# CQADupStack is usually given as the mean of its twelve parts.
#
# **Needs a network; skipped unless `BEIR_WHOLE` names collections, such as `"nfcorpus scifact"`.** The archives with all encoded
# corpora have 43 and 55 GB. With `--prebuilt`, only the indexes of the collections are fetched: a few megabytes for the small ones.

# %%
import urllib.error
import urllib.request

from splade_lucene.cli.app import app  # the command line, in this process


def is_online():
    try:
        urllib.request.urlopen("https://huggingface.co", timeout=5)
    except urllib.error.HTTPError:
        return True  # the server answered
    except OSError:
        return False
    return True


wanted = os.environ.get("BEIR_WHOLE", "").split()
if not wanted:
    print("skipped: set BEIR_WHOLE to names of collections to run this step")
elif not is_online():
    print("skipped: there is no network")
else:
    for name in wanted:
        app(["reproduce", f"beir-v1.0.0-{name}.splade-v3", "--prebuilt"], standalone_mode=False)

# %%
"better" if means["SPLADE"]["nDCG@10"] > means["BM25"]["nDCG@10"] else means
