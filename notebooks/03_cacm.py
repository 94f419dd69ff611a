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
# # CACM: from text to trec_eval
#
# CACM is the oldest test collection that is still in use: 3,204 titles and abstracts of the *Communications of the ACM* up to
# 1979, and 52 questions with judgments. This guide builds an index, searches it, compares it with BM25, sends the same queries
# through Pyserini, and evaluates with trec_eval's own binary.
#
# **Size.** By default the guide uses a part of the collection and runs in a quarter of a minute: the questions with at most
# eight relevant documents, these documents, and every 32nd document, cut at 64 tokens. Its figures are therefore high and not
# comparable with others. With `CACM_WHOLE=1` in the environment it uses all of CACM: two to three minutes and 15 MB of disk. The
# figures of the whole collection are in docs/models.md; `splade-lucene reproduce cacm.splade-minilm --mirror DIR` and `cacm.bm25`
# check them (DIR is the folder that holds `cacm`).
#
# **Data.** A folder `cacm` with `corpus.jsonl`, `topics.tsv` and `qrels.txt`, in `../../shared/data` or in the folder that
# `SPLADE_LUCENE_TEST_DATA` names. To create it, take `src/main/resources/cacm/cacm.tar.gz` from Anserini's repository
# (github.com/castorini/anserini), and `topics.cacm.txt` and `qrels.cacm.txt` from github.com/castorini/anserini-tools,
# `topics-and-qrels`. This turns the archive into the corpus:
#
# ```python
# import json, re, tarfile
#
# with tarfile.open("cacm.tar.gz") as archive, open("corpus.jsonl", "w") as corpus:
#     for page in archive:
#         text = re.sub(r"<[^>]*>", "", archive.extractfile(page).read().decode("latin-1"))
#         text = " ".join(re.split(r"CACM [A-Z][a-z]+,? \d{4}", text)[0].split())  # title and abstract
#         corpus.write(json.dumps({"id": page.name.removesuffix(".html"), "contents": text}) + "\n")
# ```
#
# The topics become lines of number, tab and text; the judgments stay as they are.

# %%
import os
import tempfile
from pathlib import Path

source = Path(os.environ.get("SPLADE_LUCENE_TEST_DATA", "../../shared/data")).resolve() / "cacm"
if not (source / "corpus.jsonl").is_file():
    raise FileNotFoundError("there is no CACM here; the text above says how to get it")
whole = bool(os.environ.get("CACM_WHOLE"))
work = tempfile.TemporaryDirectory()
os.chdir(work.name)  # relative names below

# %% [markdown]
# ## 1. The collection

# %%
import json

from splade_lucene import read_corpus, read_qrels, read_topics

documents = list(read_corpus(source / "corpus.jsonl"))
topics = read_topics(source / "topics.tsv")
qrels = read_qrels(source / "qrels.txt")
if not whole:
    qrels = {qid: judged for qid, judged in qrels.items() if len(judged) <= 8}
    topics = [query for query in topics if query.qid in qrels]
    relevant = {docid for judged in qrels.values() for docid in judged}
    documents = [each for i, each in enumerate(documents) if each.docid in relevant or i % 32 == 0]
with Path("corpus.jsonl").open("w") as file:
    file.writelines(json.dumps({"id": each.docid, "contents": each.text}) + "\n" for each in documents)
Path("topics.tsv").write_text("".join(f"{query.qid}\t{query.text}\n" for query in topics))
Path("qrels.txt").write_text(
    "".join(f"{qid} 0 {docid} {relevance}\n" for qid, judged in qrels.items() for docid, relevance in judged.items())
)
known = {each.docid for each in documents}
missing = [docid for judged in qrels.values() for docid in judged if docid not in known]
print(
    f"{len(documents):,} documents, {len(topics)} queries, {sum(map(len, qrels.values()))} judgments; "
    f"{len(missing)} judgments name documents that are not there, such as {missing[0]}"
)

# %% [markdown]
# These judgments are not missing because of the subset: of the 796 judgments that Anserini distributes, 55 name documents without
# their leading zero, `CACM-440` for `CACM-0440`. No system can find those. Figures with the same file stay comparable, so the
# file is left as it is.
#
# ## 2. Encode and index
#
#     splade-lucene build --corpus corpus.jsonl --index index --output pseudo-documents --dtype float32

# %%
from splade_lucene import DocumentSettings, Quantizer, SpladeEncoder, encode_corpus, index_pseudo_documents

encoder = SpladeEncoder(documents=DocumentSettings(max_length=None if whole else 64), dtype="float32")
rule = Quantizer.named("naver")
encode_corpus("corpus.jsonl", "pseudo-documents", encoder, rule)
summary = index_pseudo_documents("pseudo-documents", "index")
summary.documents == len(documents)

# %% [markdown]
# ## 3. Search
#
#     splade-lucene search --index index --topics topics.tsv --hits 1000 --output splade.trec

# %%
from splade_lucene import LuceneImpactSearcher, Run, SpladeQueryEncoder

queries = SpladeQueryEncoder(encoder, rule)  # without it, the searcher loads the model that the index names
searcher = LuceneImpactSearcher("index", queries)
texts, qids = [query.text for query in topics], [query.qid for query in topics]
splade = Run(searcher.batch_search(texts, qids, k=1000, threads=2))
splade.write("splade.trec")
Path("splade.trec").read_text().splitlines()[:3]

# %% [markdown]
# ## 4. BM25 for comparison
#
# The same texts in the same Lucene, with Anserini's analyzer and its k1 = 0.9 and b = 0.4.
#
#     splade-lucene bm25 index  --corpus corpus.jsonl --index bm25-index
#     splade-lucene bm25 search --index bm25-index --topics topics.tsv --hits 1000 --output bm25.trec

# %%
from splade_lucene import index_texts, search_texts

index_texts(read_corpus("corpus.jsonl"), "bm25-index", overwrite=True)
Run(search_texts("bm25-index", topics, 1000)).write("bm25.trec", tag="bm25")

# %% [markdown]
# ## 5. Evaluate
#
#     splade-lucene evaluate --qrels qrels.txt --run bm25.trec --run splade.trec

# %%
from splade_lucene import evaluate

measures = ["nDCG@10", "RR@10", "R@100", "AP"]
rows = [" " * 6 + "".join(f"{name:>10}" for name in measures)]
for name in ("bm25", "splade"):
    rows.append(f"{name:6}" + "".join(f"{value:>10.4f}" for value in evaluate("qrels.txt", f"{name}.trec", measures).values()))
print("\n".join(rows))

# %% [markdown]
# ## 6. Is the difference significant?
#
# A paired t-test over the queries; p is corrected (Holm) for the tests of one measure, here one. With so few queries, only a
# large difference is significant, and a p above 0.05 does not mean that the systems are equally good.
#
#     splade-lucene compare --qrels qrels.txt --run bm25.trec --run splade.trec --measures "nDCG@10 RR@10 R@100 AP"

# %%
from splade_lucene import compare

comparison = compare("qrels.txt", {"bm25": "bm25.trec", "splade": "splade.trec"}, measures, baseline="bm25")
rows = [
    f"{each.measure:8} {each.difference:+.4f}  better {each.gained:2}, worse {each.lost:2}, equal {each.equal:2}"
    f"  p = {each.significance.p_value:.3f}"
    for each in comparison.tests
]
print("\n".join(rows))

# %% [markdown]
# ## 7. Why?
#
# The query that gained most, its first relevant document, and what each shared term adds. A term that is not a word of the
# query is an expansion or a subword: BM25 cannot match it. (`compare … --index index --topics topics.tsv` prints such an
# explanation, too.)

# %%
import re

most = next(each for each in comparison.differences("nDCG@10", "splade") if qrels[each.qid])
text = next(query.text for query in topics if query.qid == most.qid)
found = next(docid for docid, _ in splade[most.qid] if docid in qrels[most.qid])
contributions = searcher.explain(text, found)
rows = [
    f"query {most.qid}, nDCG@10 {most.against:.3f} → {most.value:.3f}: {text:.76}…",
    f"{found}: {searcher.doc(found).contents():.90}…",
]
for each in contributions[:8]:
    kind = "" if each.term in re.findall(r"\w+", text.lower()) else "  not in the query"
    rows.append(f"  {each.term:14} {each.query_impact:>4} × {each.document_impact:>4} = {each.product:>7,}{kind}")
print("\n".join(rows))
assert sum(each.product for each in contributions) == dict(splade[most.qid])[found]

# %% [markdown]
# ## 8. The same run from Pyserini's engine
#
#     splade-lucene search --index index --topics topics.tsv --hits 1000 --output pyserini.trec --engine pyserini
#
# The files are compared byte for byte: docids, order, ranks and scores.

# %%
from splade_lucene import PyseriniSearcher

with PyseriniSearcher("index", queries) as pyserini:
    Run(pyserini.batch_search(texts, qids, k=1000, threads=2)).write("pyserini.trec")
same_run = Path("pyserini.trec").read_bytes() == Path("splade.trec").read_bytes()
same_run

# %% [markdown]
# ## 9. trec_eval's own binary
#
# Pyserini's jar carries trec_eval, compiled for each platform. (`python -m pyserini.eval.trec_eval` is not used here: it
# downloads another jar.) All its measures are compared as it prints them.

# %%
import platform
import subprocess
import zipfile

from splade_lucene import jvm

names = {"Linux x86_64": "linux-amd64", "Darwin arm64": "macosx-aarch64", "Darwin x86_64": "macosx-x86_64"}
binary = names.get(f"{platform.system()} {platform.machine()}")
differ = []
if binary is None:
    print("no trec_eval for this platform: skipped")
else:
    with zipfile.ZipFile(jvm.find_fatjar()) as jar:
        Path("trec_eval").write_bytes(jar.read(f"trec_eval/trec_eval-{binary}"))
    Path("trec_eval").chmod(0o755)
    command = ["./trec_eval", "-c", "-m", "all_trec", "qrels.txt", "splade.trec"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    theirs = {name: value for name, _, value in map(str.split, printed.splitlines()) if name not in ("runid", "relstring")}
    ours = evaluate("qrels.txt", "splade.trec", ["all_trec"])
    for name, value in theirs.items():
        shown = f"{ours[name]:.4f}" if "." in value else f"{ours[name]:.0f}"
        differ += [(name, value, shown)] if shown != value else []
    rows = [f"{name:12} {theirs[name]:>8}" for name in ("num_q", "map", "recip_rank", "ndcg_cut_10", "recall_100")]
    print("\n".join([*rows, f"{len(theirs)} figures, {len(differ)} of them differ from ours"]))

# %%
searcher.close()
"identical" if same_run and not differ else differ
