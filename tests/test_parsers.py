"""Every parser under damaged input: it returns all of the content, or raises an error of this package, and no other exception.

SPLADE_LUCENE_TEST_INPUTS sets the number of inputs over all parsers.
"""

from __future__ import annotations

import json
import math
import os
import pickle
import random
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from splade_lucene import Run, read_corpus, read_pseudo_documents, read_qrels, read_topics
from splade_lucene.encoder.layout import read_layout
from splade_lucene.encoder.table import _read_weights
from splade_lucene.errors import SpladeLuceneError
from splade_lucene.ids import is_id
from splade_lucene.index.accelerator import _read_limit
from splade_lucene.manifest import Manifest, Part, read_manifest
from splade_lucene.pseudo_documents.journal import WHOLE_CORPUS, Journal
from splade_lucene.quantizer import Quantizer
from splade_lucene.reproduction.reading import read_collection
from splade_lucene.reproduction.steps import Steps
from splade_lucene.run.reranker import _FinishedScores
from splade_lucene.training import read_config
from splade_lucene.training.examples import Texts, read_examples, read_scores

SEED = 20261126
INPUTS = int(os.environ.get("SPLADE_LUCENE_TEST_INPUTS", "1500"))


class Parser(NamedTuple):
    """A parser: the name of its file, whole files, how it is read, and what must hold of what it accepts."""

    file: str
    samples: tuple[str, ...]
    read: Callable[[Path], Any]
    check: Callable[[Any, bytes], None]
    others: Mapping[str, str] = {}  # files beside it


# ---- what must hold of what was accepted ----


def documents_are_whole(documents: Any, _: bytes) -> None:
    docids = [document.docid for document in documents]
    assert all(map(is_id, docids))
    assert len(set(docids)) == len(docids)
    for document in documents:
        (getattr(document, "text", getattr(document, "contents", "")) or "").encode()


def lines_are_documents(documents: Any, data: bytes) -> None:
    """None of the lines was lost: each that has more than white space is a document."""
    documents_are_whole(documents, data)
    assert len(documents) == sum(1 for line in data.split(b"\n") if line.strip())


def vectors_are_whole(documents: Any, data: bytes) -> None:
    lines_are_documents(documents, data)
    lines = [line for line in data.split(b"\n") if line.strip()]
    for document, line in zip(documents, lines, strict=True):
        record = json.loads(line)
        assert (str(record["id"]), record["vector"]) == (document.docid, document.vector)
        assert all(type(impact) is int and 1 <= impact < 2**31 for impact in document.vector.values())


def queries_are_whole(queries: Any, _: bytes) -> None:
    assert all(is_id(query.qid) for query in queries)
    assert len({query.qid for query in queries}) == len(queries)
    for query in queries:
        query.text.encode()
        assert all(type(impact) is int and impact >= 0 for impact in (query.vector or {}).values())


def rankings_are_whole(run: Any, data: bytes) -> None:
    assert all(math.isfinite(score) for hits in run.values() for _, score in hits)
    if not data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        lines = [line for line in data.decode("utf-8-sig").split("\n") if line.strip()]
        comments = sum(line.startswith("#") for line in lines)
        assert len(lines) - comments <= sum(map(len, run.values())) <= len(lines)  # a qid may begin with #


def judgments_are_whole(qrels: Any, data: bytes) -> None:
    assert all(type(grade) is int for judged in qrels.values() for grade in judged.values())
    lines = [line for line in data.decode("utf-8-sig").split("\n") if line.strip()]
    if not lines[0].lstrip().startswith("{"):
        rows = [line.split() for line in lines if not line.startswith("#")]
        is_header = rows[0][0] in ("query-id", "query_id", "qid") and not re.fullmatch("[+-]?[0-9]{1,9}", rows[0][-1])
        rows = rows[is_header:]
        assert len({(row[0], row[-2]) for row in rows}) == sum(map(len, qrels.values()))


def manifest_is_possible(manifest: Manifest, data: bytes) -> None:
    written = json.loads(data)
    kept = manifest.to_json()
    for key in written.keys() & kept.keys() - {"parts", "format"}:
        value = {} if written[key] is None else written[key]
        assert equal(kept[key] or {}, value or {}), key
    rule = manifest.quantizer
    for scaling in (rule.document, rule.query) if rule else ():
        assert scaling.rounding in ("half-even", "half-up", "truncate")
        assert scaling.precision in ("float32", "float64")
        assert 0 < scaling.scale < math.inf
    assert manifest.pooling in ("", "max", "sum")
    assert all(Path(part.name).name == part.name for part in manifest.parts)


def equal(kept: Any, written: Any) -> bool:
    """Whether what was kept is what was written, apart from unknown keys and missing ones."""
    if isinstance(kept, dict) and isinstance(written, dict):
        return all(equal(kept[key], written[key]) for key in kept.keys() & written.keys())
    if isinstance(kept, list | tuple) and isinstance(written, list):
        return len(kept) == len(written) and all(map(equal, kept, written))
    return bool(kept == written) and isinstance(kept, bool) == isinstance(written, bool)


def journal_is_possible(journal: Journal, _: bytes) -> None:
    assert isinstance(journal.settings, dict)
    assert all(part.number == number and Path(part.name).name == part.name for number, part in journal.parts.items())


def scores_are_numbers(scores: _FinishedScores, _: bytes) -> None:
    assert all(math.isfinite(score) for each in scores._scores.values() for score in each)


def entries_are_what_is_written(entries: Any, data: bytes) -> None:
    table = tomllib.loads(data.decode())
    assert [entry.system.name for entry in entries] == [system["name"] for system in table["systems"]]
    for entry, system in zip(entries, table["systems"], strict=True):
        assert dict(entry.system.published) == system["published"]
        assert (entry.judged, entry.system.tolerance) == (table["judged"], system["tolerance"])
        assert math.isfinite(entry.system.tolerance)


def nothing_more(*_: object) -> None:
    """What was read is checked by its types."""


# ---- the parsers ----

EXAMPLES = tuple(
    "".join(json.dumps(record) + "\n" for record in records)
    for records in (
        [
            {
                "query_id": "7",
                "query": "x",
                "positive_passages": [{"docid": "e", "title": "A", "text": "b"}],
                "negative_passages": [{"docid": "f", "text": "d"}],
            }
        ],
        [{"query": "x", "pos": ["a", "b"], "neg": ["c"], "pos_scores": [1.5, 2], "neg_scores": [-1]}],
        [{"qid": 1, "pos": ["d1"], "neg": {"bm25": ["d2", "d3"], "tas-b": [{"pid": "d3", "ce-score": 1}]}}],
        [{"qid": "1", "docids": ["d1", "d2"], "scores": [1, None]}, {"qid": "2", "docids": ["d3"], "scores": [2]}],
        [{"anchor": "x", "positive": "a", "negative_1": "b", "negative_2": "c", "label": [2, -1]}],
        [{"query": "x", "docs": ["a", "b"], "labels": [0, 1]}, {"query": "x", "answer": "c", "label": 1}],
    )
)

FULL = Manifest(
    model="owner/modèle", model_digest="ab12", choices={"query_mode": "model", "max_length": 256}, dtype="float32", pooling="max",
    max_length=256, query_max_length=64, quantizer=Quantizer.named("anserini"), pruning={"top_terms": 3}, corpus="c.jsonl",
    documents=7, encoded_with={"corpus": "c.jsonl", "choices": {"pooling": "max"}}, empty=("d1",), versions={"torch": "2.9"},
    parts=(Part(0, "part-00000.jsonl", 3, 20, ("d1",), "00"),), shard="1/2",
)  # fmt: skip
PART = {"number": 0, "name": "part-00000.jsonl", "documents": 3, "tokens": 20, "empty": ["d1"], "sha256": "00"}
JOURNAL = f'{{"settings": {{"corpus": "c", "choices": {{"pooling": "max"}}, "pruning": {{}}}}}}\n{json.dumps(PART)}\n'
CONFIG = """\
recipe: splade-max
base: some/base
output: out
data: {passages: passages.tsv, queries: queries.tsv}
teacher:
  bm25: 1.0
optimization:
  steps: 100
  learning_rate: 2.0e-5
sparsity: {query_weight: 0.1, ramp: 0.3}
"""
ENTRY = """\
name = "animals"
title = "Forty texts"
documents = 40
judged = 3
[qrels]
file = "qrels.txt"
[[systems]]
name = "splade"
title = "SPLADE"
method = "impacts"
source = "https://example.org"
tolerance = 0.0001
[systems.corpus]
name = "animals"
file = "animals.tar"
[systems.topics]
file = "topics.tsv"
count = 3
encoded = true
[systems.published]
"RR@10" = 0.3999
"""


def refuse_journal(path: Path) -> Journal:
    journal = Journal(path.parent, WHOLE_CORPUS)
    (path.parent / "part-00000.jsonl").touch()
    journal.start({"corpus": "other", "choices": {"pooling": "sum"}}, {"corpus": "other"}, overwrite=False)
    return journal


def examples(path: Path) -> Any:
    return read_examples(path, Texts(["1", "2"], ["one", "two"], ["d1", "d2", "d3"], ["a", "b", "c"]))


def examples_are_whole(read: Any, _: bytes) -> None:
    for example in read:
        assert 0 < len(set(example.passages.tolist())) == len(example.passages)
        assert 0 <= example.positives <= len(example.passages)
        if example.scores is None:
            assert example.positives
        else:
            assert len(example.scores) == len(example.passages)
            assert not np.isinf(example.scores).any()


def scores_are_finite(read: Any, _: bytes) -> None:
    assert all(abs(score) < 3.41e38 for found in read.values() for score in found.values())


def layout(path: Path) -> Any:
    return read_layout(path.parent)


def scores(path: Path) -> _FinishedScores:
    finished = _FinishedScores(path)
    finished.close()
    return finished


BERT = '{"architectures": ["BertForMaskedLM"], "model_type": "bert", "vocab_size": 30, "max_position_embeddings": 64}'
POOLING = '{"pooling_strategy": "max", "activation_function": "relu", "word_embedding_dimension": 30}'
MODULES = ('[{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.sparse_encoder.models.MLMTransformer"}, '
           '{"idx": 1, "name": "1", "path": "1_SpladePooling", "type": "sentence_transformers.sparse_encoder.models.SpladePooling"}]')  # fmt: skip
CHECKPOINT = {
    "config.json": BERT,
    "model.safetensors": "",
    "modules.json": MODULES,
    "1_SpladePooling/config.json": POOLING,
}


PARSERS: dict[str, Parser] = {
    "pseudo-documents": Parser(
        "d.jsonl",
        ('{"id": "d1", "contents": "é", "vector": {"cat": 3, "##s": 12}}\n{"id": 7, "vector": {"a": 1}, "title": null}\n',),
        lambda path: list(read_pseudo_documents(path)), vectors_are_whole,
    ),
    "corpus in JSON lines": Parser(
        "c.jsonl", ('{"id": "d1", "title": "T", "text": "one"}\n\n{"_id": 2, "contents": "two"}\n', '[{"id": "1", "text": "a"}]\n'),
        lambda path: list(read_corpus(path)), documents_are_whole,
    ),
    "corpus in TSV": Parser("c.tsv", ("d1\tone text\nd2\ttwo\tmore\n",), lambda path: list(read_corpus(path)), documents_are_whole),
    "corpus in CSV": Parser("c.csv", ('id,text\nd1,"one, ""text"""\nd2,two\n',), lambda path: list(read_corpus(path)), documents_are_whole),
    "topics in TSV": Parser("t.tsv", ("1\twhat is one\n2\ttwo\n",), read_topics, queries_are_whole),
    "topics in JSON lines": Parser(
        "t.jsonl", ('{"qid": "1", "query": "one"}\n{"id": 2, "turns": ["a", {"text": "b", "factor": 0.5}]}\n',), read_topics, queries_are_whole
    ),
    "TREC topics": Parser(
        "topics.txt", ("<top>\n<num> Number: 301\n<title> one two\n<desc> Description:\nthree\n</top>\n",), read_topics, queries_are_whole
    ),
    "stored query vectors": Parser(
        "v.jsonl", ('{"id": "1", "vector": {"cat": 3, "dog": 2}}\n{"id": "2", "vector": {"a": 1}}\n',),
        lambda path: read_topics(path, encoded=True), queries_are_whole,
    ),
    "query vectors as repeated tokens": Parser(
        "v.tsv", ("1\tcat cat dog\n2\ta\n",), lambda path: read_topics(path, encoded=True), queries_are_whole
    ),
    "judgments": Parser(
        "qrels.txt", ("1 0 d1 1\n1 0 d2 0\n2 0 d1 3\n", "query-id\tcorpus-id\tscore\nq1\td1\t1\n"), read_qrels, judgments_are_whole
    ),
    "TREC run": Parser("run.trec", ("1 Q0 d1 1 9.5 tag\n1 Q0 d2 2 8 tag\n2 Q0 d1 1 -3e-2 tag\n",), Run.read, rankings_are_whole),
    "MS MARCO run": Parser("run.tsv", ("1\td1\t1\n1\td2\t2\n2\td1\t1\n",), Run.read, rankings_are_whole),
    "JSON run": Parser("run.json", ('{"1": {"d1": 9.5, "d2": 8}, "2": {"d1": 1}}\n',), Run.read, rankings_are_whole),
    "manifest": Parser("m.manifest", (json.dumps(FULL.to_json(), indent=1, ensure_ascii=False),), read_manifest, manifest_is_possible),
    "journal": Parser("splade-lucene.journal", (JOURNAL,), lambda path: Journal(path.parent, WHOLE_CORPUS), journal_is_possible),
    "journal of another encoding": Parser("splade-lucene.journal", (JOURNAL,), refuse_journal, journal_is_possible),
    "configuration of a checkpoint": Parser(
        "config.json", (BERT,), layout, nothing_more, {key: CHECKPOINT[key] for key in ("model.safetensors",)}
    ),
    "modules of a checkpoint": Parser("modules.json", (MODULES,), layout, nothing_more, CHECKPOINT),
    "pooling of a checkpoint": Parser("1_SpladePooling/config.json", (POOLING,), lambda path: read_layout(path.parent.parent), nothing_more, CHECKPOINT),
    "weights of query tokens": Parser(
        "weights.txt", ("cat\t1.5\ndog\t0.25\n",), lambda path: _read_weights(path, 0.0, {"cat": 0, "dog": 1}, 2), nothing_more
    ),
    "weights of query tokens in JSON": Parser(
        "weights.json", ('{"cat": 1.5, "dog": 2}',), lambda path: _read_weights(path, 0.0, {"cat": 0, "dog": 1}, 2), nothing_more
    ),
    "training configuration": Parser("config.yaml", (CONFIG,), read_config, nothing_more),
    "training examples": Parser(
        "e.jsonl", ('{"query": "one", "positive": "a", "negative": "b"}\n{"query": "two", "positive": "a", "negative": "c"}\n', '{"query": "two", "passages": ["a", "b"], "scores": [1, 0.5]}\n'),
        examples, examples_are_whole,
    ),
    "training examples of other programs": Parser("e.jsonl", EXAMPLES, examples, examples_are_whole),
    "training examples in an array": Parser(
        "e.json", ('[{"query": "one", "positive": "a"},\n {"query": "two", "positive": "a"}]', '{"1": {"d1": 2.5, "d2": 1.0}, "2": {"d3": 1.0}}', '{"1": {"d1": 1, "d2": 0}}'),
        examples, examples_are_whole,
    ),
    "triples": Parser("triples.tsv", ("1\td1\td2\n2\td1\td3\n", "what is\tthis one\tthat one\n", "1.5\t-2e1\t1\td1\td2\n"), examples, examples_are_whole),
    "pickled scores": Parser("s.pkl", (pickle.dumps({"1": {"d1": 2.5, "d2": 1}, 2: {3: -1e-3}}, 0).decode(),), read_scores, scores_are_finite),
    "scores in JSON": Parser("s.json", ('{"1": {"d1": 2.5, "d2": 1}, "2": {"d1": -1e-3}}',), read_scores, scores_are_finite),
    "scores in a run": Parser("s.trec", ("1 Q0 d1 1 9.5 tag\n2 Q0 d1 1 -3e-2 tag\n",), read_scores, scores_are_finite),
    "entry of the catalogue": Parser("e.toml", (ENTRY,), read_collection, entries_are_what_is_written),
    "record of a step": Parser(
        "records/r.json", ('{"inputs": {"a": 1}, "output": [["o", 1, 2]], "version": "0.1"}',),
        lambda path: Steps(path.parent.parent).is_done("r", {"a": 1}, path), nothing_more,
    ),
    "finished scores": Parser("s.jsonl", ('{"key": "k", "qid": "1", "scores": [0.5, 2]}\n',), scores, scores_are_numbers),
    "limit of an accelerator": Parser("limit", ("1000\n",), _read_limit, nothing_more),
}  # fmt: skip

# ---- damage ----

ODD = [
    "null", "true", "false", "0", "-0", "-1", "1", "1.5", "1e999", "-1e999", "1e-999", "NaN", "nan", "Infinity", "-.inf", ".nan", "9" * 400, "9" * 5000,
    '""', '"a b"', '"\\ud800"', '"\\u0000"', "[]", "{}", "[1]", '["a"]', '{"a": 1}', '{"a": 1, "a": 2}', "[" * 300, '{"a":' * 300, "[" * 20_000,
    "x" * 300, '"' + "x" * 40_000 + '"', "half-evdn", "half-up", "max", "sum", "../../x", "1/999999999", "2/1", "2001-99-99", "&a [*a]", "*a", "<<: *a",
    "&a x", "!!int x", "!!bool x", "!!python/object:os.system x", "? [a]", "- ", "---", "...", "%YAML 2", "#", "|", ">", "=", "::", "1_000", "٣", "1:1:1",
    "<num>", "</top>", "<title>", "Q0", "d1", "\ufeff", "\u2028", "\u0085", "é", "😀", "\x00", "\x0b", "\x1b[31m", "\t", "\n", "\r", " ", ",", ":", '"', "'",
    "\\", "[", "]", "{", "}", "''' ''' '''", "inf", "0x10", "1e5", "1E400", "True", "None",
]  # fmt: skip
BYTES = [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xe6\xbc", b"\xff\xfe", b"\x1f\x8b", b"\x00\x00\x00", b"PK\x03\x04"]
TOKEN = re.compile(rb'"[^"\n]*"|[\w.+-]+|[^\w\s]')


def damaged(source: random.Random, data: bytes) -> bytes:
    """A file with one to three faults."""
    for _ in range(source.choice([1, 1, 1, 2, 3])):
        data = source.choice(FAULTS)(source, data)
    return data


def _replace_token(source: random.Random, data: bytes) -> bytes:
    tokens = list(TOKEN.finditer(data))
    if not tokens:
        return data
    token = source.choice(tokens)
    return data[: token.start()] + source.choice(ODD).encode() + data[token.end() :]


def _swap_tokens(source: random.Random, data: bytes) -> bytes:
    tokens = list(TOKEN.finditer(data))
    if not tokens:
        return data
    one, other = source.choice(tokens), source.choice(tokens)
    return data[: one.start()] + other[0] + data[one.end() :]


def _insert(source: random.Random, data: bytes) -> bytes:
    at = source.randrange(len(data) + 1)
    return data[:at] + (source.choice(BYTES) if source.random() < 0.3 else source.choice(ODD).encode()) + data[at:]


def _cut(source: random.Random, data: bytes) -> bytes:
    start, end = sorted(source.randrange(len(data) + 1) for _ in range(2))
    return source.choice([data[:start], data[end:], data[:start] + data[end:], data[: start + 1] + data[start + 2 :]])


def _flip(source: random.Random, data: bytes) -> bytes:
    if not data:
        return data
    at = source.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << source.randrange(8)]) + data[at + 1 :]


def _repeat_line(source: random.Random, data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    return b"".join([*lines, source.choice(lines)]) if lines else data


FAULTS: list[Callable[[random.Random, bytes], bytes]] = [
    _replace_token, _replace_token, _replace_token, _swap_tokens, _insert, _cut, _flip, _repeat_line
]  # fmt: skip


def prepared(parser: Parser, folder: Path) -> Path:
    """The path of the file to write, in a folder with what belongs to it."""
    for name, text in {parser.file: "", **parser.others}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder / parser.file


@pytest.mark.parametrize("name", PARSERS)
def test_damaged_files_are_read_or_refused(name, tmp_path):
    parser = PARSERS[name]
    path = prepared(parser, tmp_path)
    counts = {True: 0, False: 0}

    @seed(SEED)
    @settings(
        max_examples=max(10, INPUTS // len(PARSERS)),
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.randoms(use_true_random=True, note_method_calls=False))
    def run(source: random.Random) -> None:
        data = damaged(source, source.choice(parser.samples).encode())
        path.write_bytes(data)
        found, message = None, ""
        try:
            found = parser.read(path)
        except SpladeLuceneError as error:
            message = str(error)
        counts[not message] += 1
        assert len(message) < 5000
        if found is not None:
            parser.check(found, data)

    run()
    print(f"{name}: {counts[True]} read, {counts[False]} refused")


@pytest.mark.parametrize("name", PARSERS)
def test_whole_files_are_read(name, tmp_path):
    parser = PARSERS[name]
    for sample in parser.samples:
        path = prepared(parser, tmp_path)
        path.write_text(sample, encoding="utf-8")
        if name != "journal of another encoding":
            parser.check(parser.read(path), sample.encode())
