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
# # From Pyserini in five minutes
#
# Takes about half a minute and 100 MB of disk, most of it a copy of the embedded model that Pyserini can read.
# Nothing is downloaded.
#
# The searcher here has the signatures of Pyserini's `LuceneImpactSearcher` and opens the same indexes. Change the import,
# and most scripts run. What changes, line by line:
#
# | Pyserini | splade_lucene | |
# |---|---|---|
# | `from pyserini.search.lucene import LuceneImpactSearcher` | `from splade_lucene import LuceneImpactSearcher` | no JDK, no key (section 1) |
# | `LuceneImpactSearcher(dir, "naver/splade-v3")` | `LuceneImpactSearcher(dir)` | our indexes name their model (section 2) |
# | `LuceneImpactSearcher(dir, encoder)` | the same | any object with `encode(text)` |
# | `LuceneImpactSearcher(dir, encoder, min_idf=0)` | the same; the default is `None` | every query term counts (section 5) |
# | `searcher.search(q, k=10)` | the same | `q` may also be `{term: impact}` |
# | `searcher.batch_search(queries, qids, k, threads)` | the same | hits by qid, in the order of `qids` |
# | `hit.docid`, `hit.score`, `hit.lucene_docid` | the same | |
# | `hit.lucene_document.get("raw")` | `hit.raw`, `hit.contents` | read on demand |
# | `searcher.doc(docid).raw()`, `.contents()` | the same | |
# | `searcher.num_docs`, `searcher.close()` | the same | |
# | `LuceneImpactSearcher.from_prebuilt_index(name, encoder)` | `LuceneImpactSearcher(folder, encoder)` | the folder that Pyserini unpacked below `~/.cache/pyserini/indexes` |
# | `set_rm3()`, `set_rocchio()` | the same | on every index, even without stored vectors |
# | ONNX encoders | none | |

# %% [markdown]
# ## 1. The import
#
# Two things stop `import pyserini.search.lucene` on many machines. It asks for something that searching a folder does not
# need: Pyserini 1.6 for an `OPENAI_API_KEY` (it creates a client, which openai 2.34 and newer refuse without one), Pyserini 2.x
# for a network (it fetches lists of its prebuilt indexes). And it starts Java, which must be a full JDK 21. Importing
# `splade_lucene` does neither: Java is a Python package and starts with the first index.
#
# If you also want Pyserini's own classes, import them under `pyserini_importable()`: a placeholder stands in for the key
# until the block ends, the lists are fetched only when something reads them, and the JVM that is already running is used. No
# key is sent anywhere.

# %%
import os
import tempfile
import time

work = tempfile.TemporaryDirectory()
os.chdir(work.name)  # relative names below; before Java starts, because Java keeps the folder it started in

start = time.process_time()  # processor time depends little on what else the machine does
from splade_lucene import LuceneImpactSearcher, jvm
from splade_lucene.jvm.pyserini_import import pyserini_importable

jvm.start()  # no need to call it: the first index does
ours = time.process_time() - start

start = time.process_time()
with pyserini_importable():
    from pyserini.search.lucene import LuceneImpactSearcher as PyserinisSearcher
theirs = time.process_time() - start
print(f"import and Java: {ours:.1f} s of processor time; Pyserini's import, with Java running already: {theirs:.1f} s more")

# %% [markdown]
# A collection to search: Python's documentation of four modules. The rule `pyserini` quantizes as Pyserini's encoders do,
# w / 5 × 256.

# %%
import json
from pathlib import Path

from splade_lucene import DocumentSettings, Quantizer, Run, SpladeEncoder, encode_corpus, index_pseudo_documents, read_corpus

modules = ("csv", "glob", "shutil", "textwrap")
documents = [each for each in read_corpus("python-docs") if each.docid.startswith(modules)]
with Path("corpus.jsonl").open("w") as file:
    for each in documents:
        file.write(json.dumps({"id": each.docid, "contents": each.text}) + "\n")
encoder = SpladeEncoder(documents=DocumentSettings(max_length=48), dtype="float32")
encode_corpus("corpus.jsonl", "pseudo-documents", encoder, Quantizer.named("pyserini"))
index_pseudo_documents("pseudo-documents", "index").documents > 40

# %% [markdown]
# ## 2. The searcher
#
# An index that was built here names its model, its lengths and its quantizer in a manifest, so a query is always encoded to
# match. Pyserini takes an encoder, or a name with `splade` in it, and multiplies by 51.2 whatever the index holds.
#
# Pyserini accepts our query encoder. `min_idf=-1` makes Pyserini keep every term.

# %%
ours = LuceneImpactSearcher("index")
theirs = PyserinisSearcher("index", ours.query_encoder, min_idf=-1)
ours.num_docs == theirs.num_docs

# %% [markdown]
# ## 3. One query, many queries

# %%
first = [[(hit.docid, hit.score) for hit in each.search("guess the delimiter of a table", k=3)] for each in (ours, theirs)]
first

# %%
topics = {
    "q1": "guess the delimiter of a table",
    "q2": "delete a folder that still has things in it",
    "q3": "terminal width",
    "q4": "break long lines at white space",
    "q5": "free space of a disk",
}
our_hits = ours.batch_search(list(topics.values()), list(topics), k=50, threads=2)
their_hits = theirs.batch_search(list(topics.values()), list(topics), k=50, threads=2)


def rows(hits):
    return [(hit.docid, hit.score, hit.lucene_docid) for hit in hits]


{qid: len(our_hits[qid]) for qid in topics}

# %%
assert all(rows(our_hits[qid]) == rows(their_hits[qid]) for qid in topics)
"the same hits, scores and order, " + ", ".join(topics)

# %% [markdown]
# ## 4. Stored documents

# %%
best = our_hits["q2"][0]
assert ours.doc(best.docid).raw() == theirs.doc(best.docid).raw() == best.raw
assert ours.doc("no.such.id") is None and theirs.doc("no.such.id") is None
ours.doc(best.docid).contents()[:70]

# %% [markdown]
# ## 5. `min_idf`
#
# Pyserini drops a query term unless ln(documents / documents with the term) is above `min_idf`, which is 0 by default. A term
# that is in every document then adds nothing. Anserini's own command keeps it, and so does this package unless you give
# `min_idf`.

# %%
from splade_lucene import LuceneImpactIndexer, PseudoDocument

with LuceneImpactIndexer("pair") as indexer:
    indexer.add([PseudoDocument("d1", "", {"the": 3, "heart": 9}), PseudoDocument("d2", "", {"the": 5, "court": 9})])
query = {"the": 2, "heart": 1}


class PassThroughEncoder:
    """A query encoder for Pyserini that returns already encoded queries unchanged."""

    def encode(self, q):
        return q


with LuceneImpactSearcher("pair") as keeps, LuceneImpactSearcher("pair", min_idf=0) as drops:
    kept, dropped = rows(keeps.search(query)), rows(drops.search(query))
assert kept == rows(PyserinisSearcher("pair", PassThroughEncoder(), min_idf=-1).search(query))
assert dropped == rows(PyserinisSearcher("pair", PassThroughEncoder()).search(query))
print(f"every term: {kept}\nmin_idf=0:  {dropped}")

# %% [markdown]
# ## 6. The other way round: their encoder, their index
#
# Our searcher takes Pyserini's query encoders as they are. The embedded model is stored in eight bits per weight;
# `splade-lucene models splade-minilm --save DIR` writes it in the form that transformers and Pyserini 1.6 read. Pyserini 2.4
# reads only pickled weights, so these are saved as well.

# %%
import torch
from safetensors.torch import load_file

from splade_lucene.cli.app import app  # the command line, in this process

app(["models", "splade-minilm", "--save", "splade-minilm"], standalone_mode=False)
torch.save(load_file("splade-minilm/model.safetensors"), "splade-minilm/pytorch_model.bin")
with pyserini_importable():
    from pyserini.encode import SpladeQueryEncoder as PyserinisQueryEncoder
pyserinis_encoder = PyserinisQueryEncoder("splade-minilm")
off_by = []
for text in topics.values():
    a, b = ours.query_encoder.encode(text), pyserinis_encoder.encode(text)
    off_by += [abs(a.get(term, 0) - b.get(term, 0)) for term in {*a, *b}]
assert max(off_by) <= 1  # a weight halfway between two impacts may be rounded either way
print(f"{len(off_by)} impacts of {len(topics)} queries, at most {max(off_by)} apart")

# %% [markdown]
# And an index that Anserini builds from the same pseudo-documents, with the command that Pyserini's
#
#     python -m pyserini.index.lucene --collection JsonVectorCollection --input pseudo-documents --index theirs \
#       --generator DefaultLuceneDocumentGenerator --threads 2 --impact --pretokenized
#
# runs underneath:

# %%
import subprocess

java = jvm.find_runtime().home / "bin" / "java"
subprocess.run(
    f"{java} -cp {jvm.find_fatjar()} io.anserini.index.IndexCollection -collection JsonVectorCollection "
    "-input pseudo-documents -index theirs -generator DefaultLuceneDocumentGenerator -threads 2 -impact -pretokenized".split(),
    check=True,
    capture_output=True,
)
with LuceneImpactSearcher("theirs", pyserinis_encoder) as searcher:
    on_their_index = searcher.batch_search(list(topics.values()), list(topics), k=50)
    documents = searcher.num_docs
their_own = PyserinisSearcher("theirs", pyserinis_encoder, min_idf=-1)
their_own_hits = their_own.batch_search(list(topics.values()), list(topics), k=50)
assert all(rows(on_their_index[qid]) == rows(their_own_hits[qid]) for qid in topics)
documents

# %% [markdown]
# Such an index names no model, so give the searcher one: an encoder, a folder or a hub name.
# `splade-lucene accelerate --index theirs` adds the files from which a fresh process reads its postings faster.
#
# ## 7. The command line
#
# | Pyserini | splade_lucene |
# |---|---|
# | `python -m pyserini.encode …`, then `python -m pyserini.index.lucene …` | `splade-lucene build --corpus corpus.jsonl --index index` |
# | `python -m pyserini.search.lucene --index index --topics topics.tsv --encoder NAME --impact --output run.trec --output-format trec --hits 1000 --batch 64 --threads 2` | `splade-lucene search --index index --topics topics.tsv --output run.trec --hits 1000 --threads 2` |
# | the same with `--min-idf 0` | `--min-idf 0` |
# | `python -m pyserini.eval.trec_eval …`, which downloads a jar | `splade-lucene evaluate --qrels qrels.txt --run run.trec` |
#
# With `--engine pyserini`, the same command sends the same encoded queries through Pyserini's class. The files are equal byte
# for byte.

# %%
Path("topics.tsv").write_text("".join(f"{qid}\t{text}\n" for qid, text in topics.items()))
command = "search --index index --topics topics.tsv --hits 50 --output theirs.trec --engine pyserini"
app(command.split(), standalone_mode=False)
Run(our_hits).write("ours.trec")  # what the command writes without --engine
ours.close()
"identical" if Path("ours.trec").read_bytes() == Path("theirs.trec").read_bytes() else "different"
