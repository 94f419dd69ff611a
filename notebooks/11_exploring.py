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
# # Exploring an index
#
# `splade-lucene serve` opens an index to a browser and to programs: a page on which you look at a ranking, drag the weight of a term and
# see the ranking follow, and REST paths that answer with the same data. Takes about half a minute and 5 MB of disk; needs the
# extra `serve`. Nothing is downloaded: the documents are docstrings of the Python that runs this.

# %%
import contextlib
import io
import json
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path

from splade_lucene import DocumentSettings, SpladeEncoder, build_index, read_corpus

work = Path(tempfile.mkdtemp())
with (work / "corpus.jsonl").open("w") as corpus:
    for document in read_corpus("python-docs"):
        module = document.docid.partition(".")[0]
        if module in ("glob", "pathlib", "shutil", "tempfile", "zipfile"):
            corpus.write(json.dumps({"id": document.docid, "text": document.text, "module": module}) + "\n")
encoder = SpladeEncoder(documents=DocumentSettings(max_length=40), dtype="float32")
built = build_index(work / "corpus.jsonl", work / "docs", encoder, fields="module", bm25=True)
built.index.documents

# %% [markdown]
# ## 1. The page
#
# On the command line it is one line; port 0 is any free one.
#
# ```sh
# splade-lucene serve --index docs --port 8080
# ```

# %%
server = subprocess.Popen(
    [sys.executable, "-m", "splade_lucene", "serve", "--index", f"docs={work / 'docs'}", "--port", "0"],
    stderr=subprocess.PIPE, text=True,
)  # fmt: skip
url = server.stderr.readline().split()[-1]  # "serving docs at http://127.0.0.1:…"

# %% [markdown]
# Open the address in a browser, and type. The terms of your own words are blue, those that the model added are orange, and each hit has a
# bar of what its terms give, which sums to its score.
#
# ![The page](../docs/explorer.png)
#
# - **Weights.** Drag one, or move it with the arrow keys; `×` or the Delete key leaves a term out; *Add a term* puts one in. Each
#   change searches again.
# - **A document.** Open a hit for the reasons of its rank, its own terms, and documents like it. *Why not this one?* explains any docid, also
#   one that is not found: its rank, and the terms of the query that it lacks.
# - **Compare** shows two settings or two indexes side by side and draws which hits move: exact and approximate, impacts and BM25, a
#   pruned index and the whole one.
# - **Runs** reads a run and its judgments, and walks the queries from the worst to the best.
# - **Statistics** shows what the index is made of, and what the last searches cost.
# - **Export** writes a TREC run, JSON, a picture, or the Python lines that give the same result, of a search, a comparison or a run. The
#   address in the browser is a link to what you see.
#
# `/` goes to the query, the arrow keys from it to the hits, Escape closes a document.

# %% [markdown]
# ## 2. The same in JSON
#
# All that the page shows comes from paths under `/api/v1`, which are described at `/docs`. The expansion of a query:


# %%
def ask(path, body=None):
    """The JSON that the service answers; a body is posted."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}/api/v1/{path}", data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


question = "delete a folder with everything in it"
terms = ask("docs/expand?" + urllib.parse.urlencode({"query": question}))["terms"]
for title, own in (("own", True), ("added", False)):
    print(title, *[f"{each['term']} {each['weight']}" for each in terms if each["own"] is own][:9], sep="  ")

# %% [markdown]
# A search, with the parts of each score:

# %%
found = ask("docs/search", {"query": question, "k": 3, "explain": True, "facets": ["module"]})
for hit in found["hits"]:
    parts = sorted(hit["contributions"], key=lambda part: -part["score"])
    print(f"{hit['rank']}  {hit['score']:>8,}  {hit['docid']:20}", *(part["term"] for part in parts[:5]))
    assert sum(part["score"] for part in parts) == hit["score"]
print(found["facets"]["module"][:3])

# %% [markdown]
# ## 3. Drag a weight
#
# What the page does when you drag: it sends the changed weights as a `vector`. Here one term is left out, and one is put in.

# %%
vector = {each["term"]: each["weight"] for each in found["vector"]}
changed = ask("docs/search", {"query": question, "vector": {**vector, "director": 0, "tree": 120}, "k": 3})
for hit in changed["hits"]:
    print(f"{hit['rank']}  {hit['score']:>8,}  {hit['docid']}")

# %% [markdown]
# ## 4. Why not this one?

# %%
why = ask("docs/explain", {"query": question, "docid": "shutil.move"})
print(f"shutil.move has rank {why['rank']} with {why['score']:,}")
print("has  ", ", ".join(f"{each['term']} {each['score']:,}" for each in why["contributions"][:4]))
print("lacks", ", ".join(f"{each['term']} {each['query_weight']}" for each in why["missing"][:6]))

# %% [markdown]
# ## 5. Two rankings side by side

# %%
other = ask("docs/search", {"query": question, "engine": "bm25", "k": 10})
ranks = {hit["docid"]: hit["rank"] for hit in other["hits"]}
for hit in ask("docs/search", {"query": question, "k": 5})["hits"]:
    print(f"{hit['rank']}  {hit['docid']:24} BM25: {ranks.get(hit['docid'], 'not among the first 10')}")

# %% [markdown]
# ![Two rankings side by side](../docs/explorer-compare.png)
#
# Everything that the page shows has an address, so a finding can be sent to somebody:

# %%
print("#compare?" + urllib.parse.urlencode({"index": "docs", "q": question, "engine2": "bm25"}))

# %% [markdown]
# ## 6. What the index is made of

# %%
statistics = ask("docs/stats")
summary = statistics["summary"]
print(f"{summary['documents']} documents, {summary['terms_per_document']:.0f} terms each")
print("pieces of words:", f"{statistics['subwords']['share_of_impact']:.0%} of all impact")
print("heaviest:", *(each["term"] for each in statistics["heaviest"][:8]))

# %% [markdown]
# ## 7. From the page back to Python
#
# The export in Python gives the same ranking as the page:

# %%
request = urllib.request.Request(
    f"{url}/api/v1/docs/export",
    json.dumps({"query": question, "filter": 'module = "shutil"', "k": 3, "format": "python"}).encode(),
    {"Content-Type": "application/json"},
)
with urllib.request.urlopen(request) as answer:
    lines = answer.read().decode()
print(lines)

# %%
expected = ask("docs/search", {"query": question, "filter": 'module = "shutil"', "k": 3})
server.terminate()
server.wait()
with contextlib.chdir(work), contextlib.redirect_stdout(io.StringIO()) as printed:
    exec(lines)
assert printed.getvalue() == "".join(f"{hit['docid']} {hit['score']:.1f}\n" for hit in expected["hits"])
"the same ranking"
