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
# `splade-lucene serve` serves an index to browsers and programs: a page on which you inspect a ranking, drag the weight of a term and
# watch the ranking change, and a REST API that returns the same data. Takes about half a minute and 5 MB of disk; needs the
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
# On the command line, this is one line. Below, port 0 means any free port.
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
# Open the address in a browser, and type. Terms from your query are blue, and those that the model added are orange. The bar of each hit
# shows what each term contributes to its score.
#
# ![The page](../docs/explorer.png)
#
# - **Weights.** Drag one, or change it with the arrow keys; `×` or the Delete key removes a term; *Add a term* adds one. Each
#   change searches again.
# - **A document.** Open a hit to see why it has its rank, its terms, and similar documents. *Why not this document?* explains any docid,
#   even one that was not found: its rank, and the query terms that it lacks.
# - **Compare** shows two settings or two indexes side by side, and how hits move between them: exact and approximate, impacts and
#   BM25, a pruned index and the whole one.
# - **Runs** reads a run and its judgments, and steps through the queries from the worst to the best.
# - **Statistics** shows the distributions of terms and impacts in the index, and the cost of recent searches.
# - **Export** writes a TREC run, JSON, a picture, or the Python lines that give the same result, of a search, a comparison or a run. The
#   address in the browser is a link to what you see.
#
# `/` moves to the query, the arrow keys move from there to the hits, and Escape closes a document.

# %% [markdown]
# ## 2. The same in JSON
#
# Everything that the page shows comes from routes under `/api/v1`, which are documented at `/docs`. The expansion of a query:


# %%
def ask(path, body=None):
    """Returns the service's JSON; sends a POST request if there is a body."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}/api/v1/{path}", data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


question = "delete a folder with everything in it"
terms = ask("docs/expand?" + urllib.parse.urlencode({"query": question}))["terms"]
for title, own in (("own", True), ("added", False)):
    print(title, *[f"{each['term']} {each['weight']}" for each in terms if each["own"] is own][:9], sep="  ")

# %% [markdown]
# A search, with the contribution of each term to each score:

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
# When you drag a weight, the page sends the changed weights as a `vector`. Here one term is removed, and one is added.

# %%
vector = {each["term"]: each["weight"] for each in found["vector"]}
changed = ask("docs/search", {"query": question, "vector": {**vector, "director": 0, "tree": 120}, "k": 3})
for hit in changed["hits"]:
    print(f"{hit['rank']}  {hit['score']:>8,}  {hit['docid']}")

# %% [markdown]
# ## 4. Why not this document?

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
# Every view has its own address, so you can send a link to what you found:

# %%
print("#compare?" + urllib.parse.urlencode({"index": "docs", "q": question, "engine2": "bm25"}))

# %% [markdown]
# ## 6. Statistics of the index

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
