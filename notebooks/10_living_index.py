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
# # Updating an index
#
# Filter a collection by metadata, add, change and delete documents, merge indexes and check them. All along, the index stays a plain
# Lucene index. Takes about half a minute and 5 MB of disk. Nothing is downloaded: the documents are docstrings of the Python that runs this.

# %%
import json
import shutil
import tempfile
from pathlib import Path

from splade_lucene import (
    DamagedIndexError,
    DocumentSettings,
    InputError,
    LuceneImpactIndexReader,
    LuceneImpactSearcher,
    PyseriniSearcher,
    Run,
    SpladeEncoder,
    add_corpus,
    build_index,
    check_index,
    delete_documents,
    merge_indexes,
    optimize_index,
    read_corpus,
    where,
)

work = Path(tempfile.mkdtemp())


def write_documents(name, *modules):
    """Writes the docstrings of some modules as JSON lines with metadata."""
    path = work / name
    with path.open("w") as file:
        for document in read_corpus("python-docs"):
            module = document.docid.split(".")[0]
            if module in modules:
                is_callable = document.text.removeprefix(document.docid).startswith("(")
                record = {"id": document.docid, "text": document.text, "module": module}
                record |= {"kind": "callable" if is_callable else "other", "words": len(document.text.split())}
                file.write(json.dumps(record) + "\n")
    return path


first = write_documents("first.jsonl", "queue", "heapq", "bisect", "csv", "glob")
print(first.read_text().splitlines()[0])

# %% [markdown]
# ## 1. Build with fields
#
# `fields` names the metadata to keep. A type may be declared, as for `words`; the others are inferred.

# %%
index = work / "index"
encoder = SpladeEncoder(documents=DocumentSettings(max_length=48))
build_index(first, index, encoder, fields="module,kind,words:integer")
searcher = LuceneImpactSearcher(index)
with LuceneImpactIndexReader(index) as reader:
    print(reader.fields)

# %% [markdown]
# ## 2. Filters, facets and returned fields
#
# A filter is a string or the equivalent Python expression. Hits return their fields, and facets count their values.

# %%
hits = searcher.search("remove the smallest item", k=5, filter='kind = "callable" and words < 60')
for hit in hits:
    print(f"{hit.docid:28} {hit.score:8.0f} {hit.fields}")
print("modules of the hits:", hits.facets("module"))
print("modules of all callables:", searcher.facets("module", where("kind") == "callable"))

# %%
short_and_callable = (where("kind") == "callable") & (where("words") < 60)
assert searcher.search("remove the smallest item", k=5, filter=short_and_callable).docids == hits.docids

# %% [markdown]
# ## 3. Add documents
#
# `add_corpus` encodes new documents with the index's own model, settings and quantizer. Until `refresh()`, the searcher keeps searching
# the commit that it opened.

# %%
add_corpus(write_documents("more.jsonl", "sched", "shelve"), index)
query = "run events in the order of their times"
print("before refresh():", searcher.search(query, k=2).docids)
searcher.refresh()
print("after refresh(): ", searcher.search(query, k=2).docids)

# %% [markdown]
# ## 4. Change and delete documents
#
# A document replaces the one with the same docid. Each call is one commit: if the process is killed, either all of the change is there or
# none of it. The manifest is part of the commit.

# %%
changed = work / "changed.jsonl"
record = {"id": "sched", "text": "sched An event scheduler for coffee machines.", "module": "sched", "kind": "other", "words": 7}
changed.write_text(json.dumps(record) + "\n")
add_corpus(changed, index)
delete_documents(index, [document.docid for document in read_corpus(first) if document.docid.startswith("csv")])
searcher.refresh()
print(searcher.search("coffee", k=1)[0].contents)
print(searcher.facets("module"))

# %%
optimize_index(index)  # one segment, reordered, with a new accelerator, as a new build would write it
with LuceneImpactIndexReader(index) as reader:
    for change in reader.manifest().history:
        print(f"{change.operation:9} +{change.added:<4} -{change.deleted:<4} = {change.documents:<5} {Path(change.source).name}")

# %% [markdown]
# ## 5. Several indexes as one
#
# A searcher can open several indexes as if they were one. `merge_indexes` writes them as one index, with the same hits. With
# `duplicates="last"`, the last of several documents with the same docid counts; without it, they are an error.

# %%
other = work / "other"
more = write_documents("other.jsonl", "sched", "random", "secrets")
build_index(more, other, encoder, fields="module,kind,words:integer")
try:
    LuceneImpactSearcher([index, other])
except InputError as error:
    print(str(error).replace(f"{work}/", ""))

# %%
merged = work / "merged"
print(merge_indexes([index, other], merged, duplicates="last").documents, "documents")
query = "choose a number at random"
with LuceneImpactSearcher([index, other], duplicates="last") as several, LuceneImpactSearcher(merged) as one:
    assert several.search(query, k=20) == one.search(query, k=20)
    print(one.search(query, k=3).docids, one.facets("module"))

# %% [markdown]
# ## 6. Check
#
# `check_index` reads every byte, compares checksums, runs Lucene's own check, and encodes some documents again.

# %%
result = check_index(index, sample=5)
print(result.is_sound, result.documents, "documents,", result.encoded_again, "encoded again")

# %% [markdown]
# One flipped bit in the middle of a file changes hits silently. `check_index` names the file, and a searcher that is opened with
# `verify=True` refuses the index.

# %%
damaged = work / "damaged"
shutil.copytree(index, damaged)
postings = max(damaged.glob("*.doc"), key=lambda path: path.stat().st_size)
data = bytearray(postings.read_bytes())
data[len(data) // 2] ^= 1
postings.write_bytes(data)
for found in check_index(damaged).damage:
    print(str(found).replace(str(damaged), "damaged"))
try:
    LuceneImpactSearcher(damaged, verify=True)
except DamagedIndexError as error:
    print("refused:", str(error).replace(str(damaged), "damaged")[:100])

# %% [markdown]
# ## 7. Still a plain Lucene index
#
# Pyserini opens it and finds the same documents with the same scores.

# %%
queries = {"1": "remove the smallest item", "2": "run events in the order of their times", "3": "insert into a sorted list"}
ours = searcher.batch_search(list(queries.values()), list(queries), k=10)
with PyseriniSearcher(index) as pyserini:
    theirs = pyserini.batch_search(list(queries.values()), list(queries), k=10)
assert dict(Run(ours)) == dict(Run(theirs))
searcher.close()
"identical"
