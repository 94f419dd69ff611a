"""Reads training examples in the shapes in which they are published.

``data.examples`` is a file of JSON lines or JSON, a table, a parquet file, a folder, or ``hf:NAME``, ``hf:NAME:SPLIT`` or
``hf:NAME:SUBSET:SPLIT`` (a data set of Hugging Face, or a local folder that its library reads).

============================  ========================================================================================
shape                         keys or columns
============================  ========================================================================================
pair, triple, n-tuple         ``query`` (``anchor``, ``question``), ``positive`` (``answer``), and optionally
                              ``negative`` or ``negative_1``, ``negative_2`` …; or by id ``qid`` (``query_id``),
                              ``positive_id``, ``negative_id``, ``negative_id_1`` …. With ``scores`` of all passages, or
                              ``label``, ``labels``, ``score`` or ``margin``: the margins of the positive over each
                              negative, or all scores (sentence-transformers)
list                          ``query`` and ``passages`` (``docs``, ``documents``), or ``qid`` and ``docids``
                              (``doc_ids``, ``passage_ids``). With ``scores``: the best one is relevant. With
                              ``labels``: those above 0 are. With neither: the first one is
list over several records     ``query`` and ``passage`` (``document``), or ``qid`` and ``docid``, with ``label`` 0 or 1,
                              or with ``score``
Tevatron                      ``query_id``, ``query``, ``positive_passages`` and ``negative_passages`` with ``docid``,
                              ``title`` and ``text``
FlagEmbedding                 ``query``, ``pos``, ``neg``, ``pos_scores``, ``neg_scores``
``msmarco-hard-negatives``    ``qid``, ``pos``, and ``neg`` by system; ids, or ``pid`` and ``ce-score``
triples                       three columns: MS MARCO's ``triples.*.tsv`` and ``qidpidtriples``, texts or ids; five with
                              the scores of both passages first
judgments                     TREC's or BEIR's columns, or naver/splade's ``qrel.json``: every relevant document gives a
                              pair. With ``data.scores``: every query gives a list, whose other scored documents are
                              the negatives
scores                        JSON, ``{qid: {docid: score}}``: the best one is relevant
a folder                      BEIR's ``qrels/train.tsv``; naver/splade's ``raw.tsv`` or ``qrel.json``; a ``.parquet``
============================  ========================================================================================

Unknown keys are refused by name, unless they are in ``data.ignored_keys``. A missing score is ``null``.

Unusable examples are dropped and counted, whether given by id or as text: blank queries and passages,
duplicate passages, negatives that are a positive of their record, records without a relevant passage.

===========================  ==========================================================================================
module                       purpose
===========================  ==========================================================================================
``rows``, ``shapes``         the records of a file, whatever its format; the shapes above
``reading``                  records to examples
``scores``, ``pickled``      files of a teacher's scores; pickles, without running code
``example``, ``columns``     one example; many of them in columns
``texts``, ``stored_texts``  queries and passages by id and row; texts on disk
``dropped``                  counts of what is dropped
===========================  ==========================================================================================
"""

from __future__ import annotations

from splade_lucene.training.examples.columns import ROW, Examples, known_scores
from splade_lucene.training.examples.dropped import Dropped
from splade_lucene.training.examples.example import Example, relevant_counts, write_examples
from splade_lucene.training.examples.reading import read_examples
from splade_lucene.training.examples.scores import Missing, read_scores, require_scores
from splade_lucene.training.examples.texts import Texts, read_texts

__all__ = [
    "ROW",
    "Dropped",
    "Example",
    "Examples",
    "Missing",
    "Texts",
    "known_scores",
    "read_examples",
    "read_scores",
    "read_texts",
    "relevant_counts",
    "require_scores",
    "write_examples",
]  # fmt: skip
