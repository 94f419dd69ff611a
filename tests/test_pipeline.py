"""Corpus to index, and queries to run: the two functions that all commands and guides use."""

from __future__ import annotations

import ast
import gzip
import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
import typer
from support.progress import RecordedProgress

from splade_lucene import (
    Bm25Searcher,
    CorpusError,
    Document,
    InputError,
    LuceneImpactIndexReader,
    LuceneImpactSearcher,
    Quantizer,
    Query,
    QueryError,
    Run,
    build_index,
    encode_corpus,
    index_pseudo_documents,
    index_texts,
    read_pseudo_documents,
    search_run,
)
from splade_lucene.cli.app import app
from splade_lucene.cli.output import BARE, as_flags
from splade_lucene.corpus import reading
from splade_lucene.corpus.reading import corpus_digest, examine_corpus
from splade_lucene.files import compression, files
from splade_lucene.run.run import open_run_writer
from splade_lucene.run.searching import CollectedRankings

RULE = Quantizer.named("naver")


TEXTS = {f"d{i}": f"text number {i} about {'cats' if i % 2 else 'dogs'} and more" for i in range(25)}


def write_corpus(folder: Path, form: str) -> Path:
    path = folder / f"corpus{form}"
    if form == ".parquet":
        pyarrow.parquet.write_table(pa.table({"id": [*TEXTS], "text": [*TEXTS.values()]}), path)
        return path
    if form == "":
        for docid, text in TEXTS.items():
            path.mkdir(exist_ok=True)
            (path / f"{docid}.txt").write_text(text)
        return path
    lines = [
        f"{docid}\t{text}" if "tsv" in form else json.dumps({"id": docid, "text": text})
        for docid, text in TEXTS.items()
    ]
    data = "\n".join(lines).encode() + b"\n\n"
    path.write_bytes(gzip.compress(data) if form.endswith(".gz") else data)
    return path


# ---- the corpus is read no more than it has to be ----


@pytest.mark.parametrize("form", [".jsonl", ".jsonl.gz", ".tsv", ".tsv.gz", ".json", ".parquet", ""])
def test_one_reading_checks_counts_and_hashes(tmp_path, form):
    path = write_corpus(tmp_path, form)
    assert examine_corpus(path)[:2] == (25, corpus_digest(path))


def test_several_files_are_hashed_in_their_order(tmp_path):
    for name in ("b.jsonl", "a.jsonl.gz"):
        data = json.dumps({"id": name, "text": "x"}).encode()
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    assert examine_corpus(tmp_path)[:2] == (2, corpus_digest(tmp_path))


@pytest.mark.process
def test_what_is_wrong_is_found_by_that_reading(tmp_path):
    path = write_corpus(tmp_path, ".tsv")
    with path.open("a") as file:
        file.write("no tab\n")
    with pytest.raises(CorpusError, match=r"corpus\.tsv:27: no tab"):
        examine_corpus(path)
    assert examine_corpus(path, skip_bad=True)[:2] == (25, corpus_digest(path))
    path.write_text("\n")
    with pytest.raises(CorpusError, match="no documents in"):
        examine_corpus(path)
    assert examine_corpus("python-docs") is None


@pytest.fixture
def reads(monkeypatch):
    """How often each file is opened for reading, and hashed."""
    counts: dict[str, int] = {}
    real_open, real_start = compression.open_bytes, files.HashingReader.__init__

    def count(path: Path) -> None:
        counts[path.name] = counts.get(path.name, 0) + 1

    def open_bytes(path):
        count(path)
        return real_open(path)

    def hashing(self, path):
        count(path)
        real_start(self, path)

    monkeypatch.setattr(reading, "open_bytes", open_bytes)
    monkeypatch.setattr(files.HashingReader, "__init__", hashing)
    monkeypatch.setattr(reading, "files_digest", lambda paths: pytest.fail(f"{paths} are read once more for the hash"))
    return counts


@pytest.fixture
def hashes(monkeypatch):
    """How often each part is hashed."""
    from splade_lucene.index import indexer
    from splade_lucene.pseudo_documents import journal, parts

    counts: dict[str, int] = {}
    real = files.file_digest

    def file_digest(path):
        counts[path.name] = counts.get(path.name, 0) + 1
        return real(path)

    for module in (indexer, journal, parts):
        monkeypatch.setattr(module, "file_digest", file_digest)
    return counts


@pytest.mark.java
def test_a_build_reads_its_corpus_twice_and_hashes_a_part_once(tiny_encoder, tmp_path, monkeypatch, reads, hashes):
    from splade_lucene.pseudo_documents import parts

    monkeypatch.setattr(parts, "PART_DOCUMENTS", 10)
    path = write_corpus(tmp_path, ".jsonl")
    progress = RecordedProgress()
    built = build_index(path, tmp_path / "index", tiny_encoder, RULE, progress=progress)
    assert reads == {"corpus.jsonl": 2}
    assert hashes == {f"part-0000{number}.jsonl": 1 for number in range(3)}
    assert progress.steps == [("encoding", 25, "documents"), ("indexing", built.manifest.documents, "documents")]
    assert built.index.documents == built.manifest.documents == 25
    assert built.pseudo_documents is None
    assert sorted(each.name for each in tmp_path.iterdir()) == ["corpus.jsonl", "index"]


@pytest.mark.java
@pytest.mark.parametrize("name", ["docs.jsonl", "docs.jsonl.gz"])
def test_files_of_others_are_followed_by_their_bytes(tmp_path, name):
    lines = "".join(f'{{"id": "d{i}", "contents": "", "vector": {{"cat": {i + 1}}}}}\n' for i in range(500)).encode()
    (tmp_path / name).write_bytes(gzip.compress(lines) if name.endswith(".gz") else lines)
    size = (tmp_path / name).stat().st_size
    progress = RecordedProgress()
    index_pseudo_documents(tmp_path / name, tmp_path / "index", progress=progress)
    assert progress.steps == [("indexing", size, "bytes")]
    assert sum(count for count, _, _ in progress.reports) == size


# ---- build_index ----


@pytest.mark.java
def test_a_build_equals_encoding_and_indexing_apart(tiny_encoder, tmp_path):
    path = write_corpus(tmp_path, ".tsv")
    encode_corpus(path, tmp_path / "encoded", tiny_encoder, RULE)
    index_pseudo_documents(tmp_path / "encoded", tmp_path / "apart")
    built = build_index(path, tmp_path / "index", tiny_encoder, RULE, pseudo_documents=tmp_path / "kept")
    assert [*read_pseudo_documents(tmp_path / "kept")] == [*read_pseudo_documents(tmp_path / "encoded")]
    with LuceneImpactIndexReader(tmp_path / "apart") as one, LuceneImpactIndexReader(tmp_path / "index") as other:
        assert one.terms() == other.terms()
        assert one.docids() == other.docids()
        for term, *_ in one.terms():
            for first, second in zip(one.postings(term), other.postings(term), strict=True):
                assert first.tolist() == second.tolist()
    assert built.pseudo_documents == tmp_path / "kept"


@pytest.mark.java
def test_an_existing_index_is_kept_if_it_is_current_and_replaced_if_asked(tiny_encoder, tmp_path):
    path = write_corpus(tmp_path, ".tsv")
    index = tmp_path / "index"
    built = build_index(path, index, tiny_encoder, RULE)
    with pytest.raises(InputError, match=r"an index exists here\. Pass overwrite=True"):
        build_index(path, index, tiny_encoder, RULE)
    before = {each.name: each.stat().st_mtime_ns for each in index.iterdir()}
    kept = build_index(path, index, tiny_encoder, RULE, keep_current=True)
    assert {each.name: each.stat().st_mtime_ns for each in index.iterdir()} == before
    assert (kept.index.documents, kept.index.postings) == (built.index.documents, built.index.postings)
    with pytest.raises(InputError, match="an index exists here"):
        build_index(path, index, tiny_encoder, Quantizer.named("splade-pp", 10), keep_current=True)
    changed = build_index(path, index, tiny_encoder, Quantizer.named("naver", 10), keep_current=True, overwrite=True)
    assert changed.index.postings < built.index.postings


@pytest.mark.java
def test_an_interrupted_build_resumes(tiny_encoder, tmp_path, monkeypatch):
    from splade_lucene.pseudo_documents import parts

    monkeypatch.setattr(parts, "PART_DOCUMENTS", 5)
    path = write_corpus(tmp_path, ".tsv")

    def interrupt(_count: int) -> None:
        if sum(count for count, _, _ in progress.reports) >= 15:
            raise KeyboardInterrupt

    progress = RecordedProgress(interrupt)
    with pytest.raises(KeyboardInterrupt):
        build_index(path, tmp_path / "index", tiny_encoder, RULE, progress=progress)
    resumed = RecordedProgress()
    assert build_index(path, tmp_path / "index", tiny_encoder, RULE, progress=resumed).index.documents == 25
    assert sum(count for count, _, was_there in resumed.reports if was_there) >= 5
    assert sorted(each.name for each in tmp_path.iterdir()) == ["corpus.tsv", "index"]


def test_two_jobs_cannot_have_one_folder(tiny_encoder, tmp_path):
    path = write_corpus(tmp_path, ".tsv")
    with pytest.raises(InputError, match="are the same folder"):
        build_index(path, tmp_path / "x", tiny_encoder, RULE, pseudo_documents=tmp_path / "x")
    with pytest.raises(InputError, match="unknown store 'all'. Choose one of: none, text, raw"):
        build_index(path, tmp_path / "x", tiny_encoder, RULE, store="all")  # type: ignore[arg-type]


# ---- search_run ----


@pytest.fixture(scope="module")
def text_index(tmp_path_factory):
    index = tmp_path_factory.mktemp("pipeline") / "bm25"
    index_texts([Document(*each) for each in TEXTS.items()], index)
    return index


QUERIES = [Query(f"q{i}", text) for i, text in enumerate(["cats", "nothing like it", "dogs", *["number"] * 130])]


@pytest.mark.java
def test_a_run_has_the_rankings_of_single_searches(text_index, tmp_path):
    progress, collected = RecordedProgress(), CollectedRankings()
    with Bm25Searcher(text_index) as searcher:
        with open_run_writer(tmp_path / "run") as writer:
            without = search_run(searcher, QUERIES, writer, 7, progress=progress)
        search_run(searcher, iter(QUERIES), collected, 7, threads=1)
        expected = {query.qid: searcher.search(query.text, 7) for query in QUERIES}
    assert without == ["q1"]
    assert dict(collected) == expected
    assert Run.read(tmp_path / "run").keys() == expected.keys() - {"q1"}
    assert progress.steps == [("searching", 133, "queries")]
    assert [count for count, _, _ in progress.reports] == [64, 64, 5]


@pytest.mark.java
def test_a_run_of_encoded_queries_with_a_filter_and_a_change(index_dir):
    seen: dict[str, tuple[dict[str, int], int]] = {}
    queries = [Query("a", "", {"term1": 3}), Query("b", "", {"term2": 1, "term3": 2})]
    collected = CollectedRankings()
    with LuceneImpactSearcher(index_dir) as searcher:
        best = searcher.search(queries[0].vector, 1)[0].docid
        chosen = searcher.make_filter([best], exclude=True)
        search_run(
            searcher, queries, collected, 5, options={"filter": chosen}, transform=lambda qid, hits: hits.docids,
            on_batch=lambda given, found: seen.update({qid: (given[qid], len(found[qid])) for qid in found}),
        )  # fmt: skip
        assert collected == {query.qid: searcher.search(query.vector, 5, filter=chosen).docids for query in queries}
    assert best not in collected["a"]
    assert seen == {"a": ({"term1": 3}, 5), "b": ({"term2": 1, "term3": 2}, 5)}


def test_a_qid_comes_once(text_index):
    with Bm25Searcher(text_index) as searcher, pytest.raises(QueryError, match="duplicate qid 'q'"):
        search_run(searcher, [Query("q", "cats"), Query("q", "dogs")], CollectedRankings())


@pytest.mark.java
def test_bm25_refuses_queries_that_are_not_texts(text_index):
    with Bm25Searcher(text_index) as searcher, pytest.raises(QueryError, match="queries must be texts"):
        search_run(searcher, [Query("q", "", {"cat": 1})], CollectedRankings())


# ---- arguments in messages ----


def test_arguments_that_are_named_alone_are_options():
    def options(command):
        own = {name for parameter in command.params for name in parameter.opts}
        return own.union(*map(options, getattr(command, "commands", {}).values()))

    assert {"--" + name.replace("_", "-") for name in BARE} <= options(typer.main.get_command(app))


def test_no_message_of_the_library_speaks_of_flags():
    """Flags of the command line; the commands that ``reproduce --show`` prints may have them."""
    package = Path(reading.__file__).parent.parent
    spoken = [
        f"{path.relative_to(package)}:{node.lineno}: {node.value:.60}"
        for path in sorted(package.rglob("*.py"))
        if path.parent.name != "cli" and path.name != "commands.py"
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        and ast.unparse(call.func).endswith(("Error", "failure", "error", "warning", "note"))
        for node in ast.walk(call)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if re.search(r"(?<![\w-])--[a-z]", node.value)
    ]
    assert spoken == []


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Pass overwrite=True, or append=True", "Pass --overwrite, or --append"),
        ("or pass skip_bad=True to leave it out", "or pass --skip-bad to leave it out"),
        ("Index with store=text, or", "Index with --store text, or"),
        ("Name it with model=…, or", "Name it with --model, or"),
        ("name another index_dir=….", "name another --index."),
        ("It has no fields: build it with fields=…", "It has no fields: build it with --fields"),
        ("Build the index again with bm25=True, or", "Build the index again with --bm25, or"),
        ("Pass all_terms=True to allow any term", "Pass --feedback-all-terms to allow any term"),
        ("as weights=…", "as --weight IMPACTS --weight BM25"),
        ("SPLADE_LUCENE_HEAP=much is not a size", "SPLADE_LUCENE_HEAP=much is not a size"),
        ("got fields={'a': 1}", "got fields={'a': 1}"),
        ("the line 'a=b' has no tab", "the line 'a=b' has no tab"),
        ("/data/lang=en/top_terms/store=text/a.tsv:1", "/data/lang=en/top_terms/store=text/a.tsv:1"),
        ("/a/min_impact.json: is damaged", "/a/min_impact.json: is damaged"),
        ("the query 'how does a=b work'", "the query 'how does a=b work'"),
        ("Set passage_tokens to 8 to 64", "Set --passage-tokens to 8 to 64"),
        ("Lower optimization.max_length", "Lower optimization.max_length"),
        ('the key "max_length" is missing', 'the key "max_length" is missing'),
    ],
)
def test_the_command_line_spells_arguments_as_flags(message, expected):
    assert as_flags(message) == expected
