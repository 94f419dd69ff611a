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
# # Explaining a ranking, and wacky weights
#
# Why is this document first? Which terms does the model add, to documents and to queries? How much weight lies on stopwords and on
# pieces of words? What does a term cost an index? Takes about a quarter of a minute and 2 MB of disk. Nothing is downloaded: the
# corpus is the documentation of the Python that runs this, cut to a few hundred documents, and the questions come with the package.

# %%
import tempfile
from collections import Counter
from pathlib import Path
from zlib import crc32

import matplotlib.pyplot as plt
import numpy as np

from splade_lucene import (
    LuceneImpactIndexer,
    DocumentSettings,
    LuceneImpactIndexReader,
    LuceneImpactSearcher,
    PseudoDocument,
    Quantizer,
    SpladeEncoder,
    SpladeQueryEncoder,
    read_corpus,
)
from splade_lucene.demo import read_questions

plt.rcParams.update({"figure.dpi": 64, "font.size": 9, "axes.spines.top": False, "axes.spines.right": False})

questions = list(read_questions())[:40]
judged = {docid for _, relevant in questions for docid in relevant}
corpus = [each for each in read_corpus("python-docs") if each.docid in judged or crc32(each.docid.encode()) % 80 == 0]
texts = {document.docid: document.text for document in corpus}

encoder, rule = SpladeEncoder(documents=DocumentSettings(max_length=40), dtype="float32"), Quantizer.named("naver")
vectors = dict(zip(texts, encoder.encode_documents(list(texts.values())).quantize(rule, "document")))
work = Path(tempfile.mkdtemp())
with LuceneImpactIndexer(work / "index") as indexer:
    indexer.add(PseudoDocument(docid, texts[docid], vector) for docid, vector in vectors.items() if vector)
searcher = LuceneImpactSearcher(work / "index", SpladeQueryEncoder(encoder, rule))
searcher.num_docs

# %% [markdown]
# ## 1. Why this document?
#
# A score is a sum over the terms that query and document share: query impact times document impact. `explain` returns the parts,
# largest first (`splade-lucene explain` prints them).

# %%
question = "how do I list every file below a folder, subfolders too"
hits = searcher.search(question, k=3)
for rank, hit in enumerate(hits, 1):
    print(f"{rank}  {hit.score:>9,.0f}  {hit.docid:24} {' '.join(hit.contents.split())[:70]}")
print()
for part in searcher.explain(question, hits[0].docid)[:8]:
    print(f"{part.term:14} {part.query_impact:>4} x {part.document_impact:>4} = {part.product:>7,}")

# %% [markdown]
# Some of these terms are in neither text: the model added them. The encoder's tokens show which terms are a text's own.


# %%
def own_terms(texts):
    """The terms of each text's own tokens."""
    sequences = encoder.tokenize_documents(texts)
    found = [set() for _ in texts]
    for owner, ids in zip(sequences.owners, sequences.ids):
        found[owner] |= {encoder.terms[i] for i in ids}
    return found


own = dict(zip(texts, own_terms(list(texts.values()))))


def kind(term, in_query, in_document):
    """Which of the two texts contain a shared term."""
    if term in in_query:
        return "both texts" if term in in_document else "the question only"
    return "the document only" if term in in_document else "neither"


COLOURS = {"both texts": "C0", "the question only": "C1", "the document only": "C2", "neither": "C3"}


def draw(axes, question, docid, shown=12):
    """The largest parts of a score as bars, coloured by the texts that contain the term."""
    (asked,) = own_terms([question])
    parts = searcher.explain(question, docid)[:shown][::-1]
    colours = [COLOURS[kind(part.term, asked, own[docid])] for part in parts]
    axes.barh([part.term for part in parts], [part.product for part in parts], color=colours)
    axes.set(title=docid, xlabel="part of the score")


figure, axes = plt.subplots(1, 2, figsize=(8, 3))
for place, hit in zip(axes, hits):
    draw(place, question, hit.docid)
axes[1].legend([plt.Rectangle((0, 0), 1, 1, color=c) for c in COLOURS.values()], COLOURS, frameon=False, loc="lower right")
figure.tight_layout()

# %% [markdown]
# Why is the first hit ahead of the second? The parts show that, too: these terms make the difference.

# %%
first, second = ({part.term: part.product for part in searcher.explain(question, hit.docid)} for hit in hits[:2])
difference = {term: first.get(term, 0) - second.get(term, 0) for term in first | second}
for term, value in sorted(difference.items(), key=lambda each: -abs(each[1]))[:6]:
    print(f"{term:14} {value:>+9,}")
print(f"{'all terms':14} {sum(difference.values()):>+9,}")

# %% [markdown]
# ## 2. How much comes from expansion
#
# The share of each best hit's score by where its terms come from, over all questions. Terms that are in both the question and the
# document are what BM25 could have matched; the rest is expansion.

# %%
shares = Counter()
best = searcher.batch_search([query.text for query, _ in questions], [query.qid for query, _ in questions], k=1)
asked = dict(zip(best, own_terms([query.text for query, _ in questions])))
for query, _ in questions:
    (hit,) = best[query.qid]
    for part in searcher.explain(query.text, hit.docid):
        shares[kind(part.term, asked[query.qid], own[hit.docid])] += part.product / hit.score / len(questions)
for name in COLOURS:
    print(f"{name:18} {shares[name]:6.1%}")

# %% [markdown]
# ## 3. Wacky weights
#
# Learned weights need not look sensible to rank well: stopwords, pieces of words and punctuation carry weight, and terms are added
# that nobody would have guessed (Mackenzie, Trotman and Lin called them wacky, arXiv 2110.11540). Where the weight lies:

# %%
STOPWORDS = set(
    "a an and are as at be but by for if in into is it no not of on or such that the their then there these they this to was "
    "will with".split()
)  # Lucene's English list


def group(term):
    """The group of a term."""
    if term in STOPWORDS:
        return "stopwords"
    if term.startswith("##"):
        return "pieces of words"
    return "words" if any(map(str.isalpha, term)) else "numbers and marks"


GROUPS = ("words", "pieces of words", "stopwords", "numbers and marks")


def mass(vectors, own):
    """Share of all impact by group, each split into own and added terms."""
    total = Counter()
    for vector, terms in zip(vectors, own):
        for term, impact in vector.items():
            total[group(term), term in terms] += impact
    return {key: value / sum(total.values()) for key, value in total.items()}


asked_vectors = [searcher.encode(query.text) for query, _ in questions]
masses = {"documents": mass(vectors.values(), own.values()), "queries": mass(asked_vectors, asked.values())}
for side, shares in masses.items():
    print(f"{side:20} {'own':>7} {'added':>7}")
    for name in GROUPS:
        print(f"  {name:18} {shares.get((name, True), 0):7.1%} {shares.get((name, False), 0):7.1%}")

figure, axes = plt.subplots(figsize=(8, 1.9))
for row, shares in enumerate(masses.values()):
    left = 0.0
    for number, name in enumerate(GROUPS):
        for is_own in (True, False):
            width = shares.get((name, is_own), 0)
            label = f"{name}, {'own' if is_own else 'added'}" if row == 0 else None
            axes.barh(row, width, left=left, color=f"C{number}", alpha=1 if is_own else 0.45, label=label)
            left += width
axes.set(yticks=range(len(masses)), yticklabels=masses, xlabel="share of all impact", xlim=(0, 1))
axes.legend(frameon=False, ncol=1, bbox_to_anchor=(1, 1.1), loc="upper left")
figure.tight_layout()

# %% [markdown]
# Which terms are added most often, and how heavy they are where they are added:

# %%
added = Counter()
weight = Counter()
for docid, vector in vectors.items():
    for term, impact in vector.items():
        if term not in own[docid]:
            added[term] += 1
            weight[term] += impact
print(f"{'term':14} {'added to':>9} {'mean impact':>12}")
for term, count in added.most_common(15):
    print(f"{term:14} {count / len(vectors):>9.0%} {weight[term] / count:>12.0f}")

# %% [markdown]
# And the strangest: added with a large impact to a single document. Some are synonyms, some are anyone's guess.

# %%
rare = [
    (impact, term, docid)
    for docid, vector in vectors.items()
    for term, impact in vector.items()
    if added[term] == 1 and term not in own[docid]
]
for impact, term, docid in sorted(rare, reverse=True)[:12]:
    print(f"{impact:>4}  {term:16} {docid:34} {' '.join(texts[docid].split())[:58]}")

# %% [markdown]
# ## 4. What a term costs an index
#
# For each term, an open index gives the document frequency and the sum of the impacts; the postings give the largest impact. Time
# and space grow with the postings, and a few terms hold most of them.

# %%
with LuceneImpactIndexReader(work / "index") as reader:
    statistics = reader.statistics()
    terms = sorted(reader.terms(), key=lambda each: -each.doc_freq)
    largest = {each.term: int(reader.postings(each.term)[1].max()) for each in terms}
print(f"{'term':14} {'documents':>10} {'mean impact':>12} {'largest':>8}")
for each in terms[:12]:
    mean = each.total_impact / each.doc_freq
    print(f"{each.term:14} {each.doc_freq:>10} {mean:>12.0f} {largest[each.term]:>8}")
held = np.cumsum([each.doc_freq for each in terms]) / statistics["postings"]
print(f"\n{len(terms):,} terms, {statistics['postings']:,} postings")
for share in (0.25, 0.5, 0.9):
    print(f"{share:.0%} of the postings are those of {np.searchsorted(held, share) + 1:,} terms")

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3))
for number, name in enumerate(GROUPS):
    chosen = [each for each in terms if group(each.term) == name]
    frequency = [each.doc_freq for each in chosen]
    left.plot(frequency, [each.total_impact / each.doc_freq for each in chosen], ".", ms=3, color=f"C{number}", label=name)
    right.plot(frequency, [largest[each.term] for each in chosen], ".", ms=3, color=f"C{number}")
left.set(xscale="log", xlabel="documents with the term", ylabel="mean impact")
right.set(xscale="log", xlabel="documents with the term", ylabel="largest impact")
left.legend(frameon=False, markerscale=2)
figure.tight_layout()

# %% [markdown]
# The bounds that let a search skip documents are computed from the terms' largest impacts. Under BM25, the largest impact falls with the number of documents
# that have the term, so a search can skip frequent terms. Learned impacts follow no such rule, so skipping needs the bounds of small
# blocks of documents (see the guide on speed).
#
# Finally, the check: for each question, the parts of each hit's score sum to the score, and the index's counts of its terms are those
# of what was indexed.

# %%
for query, _ in questions:
    for hit in searcher.search(query.text, k=5):
        assert sum(part.product for part in searcher.explain(query.text, hit.docid)) == hit.score
frequencies, totals = Counter(), Counter()
for vector in vectors.values():
    frequencies.update(vector.keys())
    totals.update(vector)
assert {each.term: (each.doc_freq, each.total_impact) for each in terms} == {
    term: (frequencies[term], totals[term]) for term in totals
}
assert largest == {term: max(vector.get(term, 0) for vector in vectors.values()) for term in totals}
searcher.close()
"identical"
