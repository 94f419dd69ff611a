"""Queries in every form, and encoded queries as Anserini's reader takes them."""

import bz2
import gzip
import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.files import write

from splade_lucene.errors import RunError, StorageError, TopicsError
from splade_lucene.evaluation.judgments import read_qrels
from splade_lucene.records import Query
from splade_lucene.topics.named import read_with_anserini
from splade_lucene.topics.reading import read_topics, write_encoded_topics


def refused(path, **options):
    with pytest.raises(TopicsError) as caught:
        read_topics(path, **options)
    assert caught.value.path == path
    assert caught.value.remedy
    return str(caught.value)


# ---- texts ----


@pytest.mark.parametrize("name", ["t.tsv", "t.tsv.gz", "t.txt"])
def test_tsv(tmp_path, name):
    path = write(tmp_path / name, "12\twhat is é?\n\nq2\twith\ttab\r\n3\t\n4\ta\u2028b")
    assert read_topics(path) == [
        Query("12", "what is é?"),
        Query("q2", "with\ttab"),
        Query("3", ""),
        Query("4", "a\u2028b"),
    ]


@pytest.mark.parametrize("name", ["t.jsonl", "t.jsonl.gz", "t.json"])
def test_json_lines(tmp_path, name):
    records = [
        {"_id": "1", "text": "one", "metadata": {}},
        {"id": 2, "contents": "two"},
        {"qid": "3", "query": "three"},
        {"id": "4", "title": "four"},
        {"id": None, "qid": "5", "text": None, "query": "five"},
        {"id": "6", "title": "title", "text": "text"},
    ]
    path = write(tmp_path / name, "\n".join(json.dumps(record) for record in records) + "\n\n")
    assert [(query.qid, query.text, query.vector) for query in read_topics(str(path))] == [
        ("1", "one", None),
        ("2", "two", None),
        ("3", "three", None),
        ("4", "four", None),
        ("5", "five", None),
        ("6", "text", None),
    ]


def test_folder_stands_for_its_queries(tmp_path):
    write(tmp_path / "corpus.jsonl", '{"_id": "d", "text": "a document"}\n')
    write(tmp_path / "queries.jsonl", '{"_id": "q", "text": "a query"}\n')
    assert read_topics(tmp_path) == [Query("q", "a query")]


def test_python_docs_questions_are_topics_but_for_their_answers(tmp_path):
    path = write(tmp_path / "t.jsonl", '{"qid": "pd001", "text": "how", "relevant": ["os.walk"]}\n')
    assert read_topics(path) == [Query("pd001", "how")]


# ---- TREC ----

NEW = """
<top>

<num> Number: 301
<title> International Organized  Crime

<desc> Description:
Identify organizations that participate:
all of them.

<narr> Narrative:
A relevant document names < 3 of them.

</top>

<top>
<num> Number: 302
<title> Poliomyelitis: and Post-Polio
<desc> Description:
Is it
back?
<narr> Narrative:
Relevant
documents.
</top>
"""
OLD = """<top>
<head> Tipster Topic Description
<num> Number:  051
<dom> Domain:  International Economics
<title> Topic:  Airbus Subsidies
<desc> Description:
Document will discuss government assistance.
<narr> Narrative:
A relevant document will cite some.
<con> Concept(s):
1. Airbus Industrie
<top>
<num> Number:  052
<title> Topic:  South African Sanctions
"""
CLOSED = """<top>
<num> Number: MB01 </num>
<query> BBC World Service <b>staff</b> cuts </query>
<querytime> Tue Feb 08 12:30:27 +0000 2011 </querytime>
</top>
"""
XML = """<?xml version="1.0" encoding="UTF-8"?>
<topics task="covid">
  <topic number="1"><query>coronavirus &amp; origin</query>
    <question>what is the origin</question>
    <narrative>on its
      origin</narrative></topic>
  <topic number="2" type="faceted"><query>weather</query><description>and heat</description>
    <subtopic number="1">no query</subtopic></topic>
  <topic number="3">A patient with a cough &gt; 3 weeks.</topic>
</topics>
"""


@pytest.mark.parametrize(
    ("text", "field", "expected"),
    [
        (NEW, "title", [("301", "International Organized Crime"), ("302", "Poliomyelitis: and Post-Polio")]),
        (NEW, "desc", [("301", "Identify organizations that participate: all of them."), ("302", "Is it back?")]),
        (NEW, "narr", [("301", "A relevant document names < 3 of them."), ("302", "Relevant documents.")]),
        (NEW, "desc+title", [("301", "Identify organizations that participate: all of them. International Organized Crime"),
                             ("302", "Is it back? Poliomyelitis: and Post-Polio")]),
        (OLD, "title", [("51", "Airbus Subsidies"), ("52", "South African Sanctions")]),
        (OLD.replace("051", "AR26"), "title", [("26", "Airbus Subsidies"), ("52", "South African Sanctions")]),
        (CLOSED, "title", [("1", "BBC World Service <b>staff</b> cuts")]),
        (XML, "title", [("1", "coronavirus & origin"), ("2", "weather"), ("3", "A patient with a cough > 3 weeks.")]),
        (XML, "title+desc+narr", [("1", "coronavirus & origin what is the origin on its origin"), ("2", "weather and heat"),
                                  ("3", "A patient with a cough > 3 weeks.")]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["topics.txt", "topics.gz"])
def test_trec_topics(tmp_path, name, text, field, expected):
    path = write(tmp_path / name, text)
    assert [(query.qid, query.text) for query in read_topics(path, field=field)] == expected


def test_trec_topics_as_anserini_reads_them(tmp_path):
    path = write(tmp_path / "topics.txt", NEW.replace("Poliomyelitis: and", "Poliomyelitis and"))
    theirs = dict(read_with_anserini(path, "TrecTopicReader"))
    for field in ("title", "desc", "narr"):
        assert {query.qid: query.text for query in read_topics(path, field=field)} == {
            qid: fields[field] for qid, fields in theirs.items()
        }


def test_faults_of_trec_topics(tmp_path):
    path = write(tmp_path / "topics.txt", "\n" + NEW.replace("<num> Number: 302", ""))
    assert refused(path).startswith(f"{path}:17: the topic has no <num>")
    assert refused(write(path, NEW.replace("302", "0301"))).startswith(
        f"{path}:16: duplicate qid '301', first used on line 2"
    )
    assert "topic '52' has no desc (its fields: title)" in refused(write(path, OLD), field="desc")
    assert "no tab between" in refused(path, encoded=True)
    assert "no queries in this file" in refused(write(path, "<topics>\n</topics>\n"))
    tsv = write(tmp_path / "t.tsv", "1\tone\n<top>\ttwo\n")
    assert [query.qid for query in read_topics(tsv)] == ["1", "<top>"]  # a later line says nothing of the form
    assert "field desc was not found: the topics in this file have no fields" in refused(tsv, field="desc")
    with pytest.raises(TopicsError, match="topics have no field 'body'"):
        read_topics(tsv, field="title+body")


# ---- headers ----


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("t.tsv", "qid\tquery\n1\tone\n", [Query("1", "one")]),
        ("t.tsv", "\ufeffQID\tText\r\n1\tone\r\n", [Query("1", "one")]),
        ("t.txt", "\n_id\ttext\n1\tone\n", [Query("1", "one")]),
        ("t.tsv", '\tqid\tquery\n0\tq1\t"a ""b"""\n', [Query("q1", 'a "b"')]),
        ("t.tsv", "query\tquery_id\none two\tq1\n", [Query("q1", "one two")]),
        ("t.csv", 'qid,query\nq1,"one, two"\n', [Query("q1", "one, two")]),
        ("t.csv", ",id,question\n0,q1,what\n", [Query("q1", "what")]),
        ("t.tsv", "Query ID\tQuery Text\n1\tone\n", [Query("1", "one")]),
        ("t.csv", "topic-id,queryText\n1,one\n", [Query("1", "one")]),
    ],
)
def test_header_names_the_columns_and_is_noted(tmp_path, caplog, name, text, expected):
    path = write(tmp_path / name, text)
    assert read_topics(path) == expected
    assert [message.partition(" (")[0] for message in caplog.messages] == [f"{path}: the first line is a header"]
    assert caplog.messages[0].endswith("not a query")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("t.tsv", "7\tquery\n8\ttext\n", [Query("7", "query"), Query("8", "text")]),
        ("t.tsv", "q1\tid\n", [Query("q1", "id")]),
        ("t.tsv", "-\ttext\n", [Query("-", "text")]),
        ("t.tsv", "query\tquery\n", [Query("query", "query")]),
        ("t.tsv", "id\tquery expansion\n", [Query("id", "query expansion")]),
        ("t.csv", 'q1,"a, b"\n', [Query("q1", "a, b")]),
    ],
)
def test_first_line_that_is_no_header_is_a_query(tmp_path, caplog, name, text, expected):
    assert read_topics(write(tmp_path / name, text)) == expected
    assert caplog.messages == []


def test_header_of_encoded_topics_is_no_query(tmp_path):
    path = write(tmp_path / "t.tsv", "qid\tquery\n1\ta a b\n")
    assert read_topics(path, encoded=True) == [Query("1", "", {"a": 2, "b": 1})]


# ---- the formats of tracks, and of DPR ----

BLOCK = (
    "<top>\n<num> Number: {}\n<title> first words\n<desc> Description:\nSome text.\n<narr> Narrative:\nMore.\n</top>\n"
)
FORMS = {
    "CarTopicReader": (
        "enwiki:Aftertaste/Sweet%20%C3%A9\nenwiki:Air\n",
        [("enwiki:Aftertaste/Sweet%20%C3%A9", "Aftertaste/Sweet é"), ("enwiki:Air", "Air")],
    ),
    "CacmTopicReader": (
        "<DOC>\n<DOCNO> 1 </DOCNO>\n\n What about TSS, an\nold system?\n\n</DOC>\n<DOC>\n<DOCNO> 2 </DOCNO>\nPrieve, B.\n</DOC>\n",
        [("1", "What about TSS, an old system?"), ("2", "Prieve, B.")],
    ),
    "NtcirTopicReader": (
        "<queries>\n<query>\n<qid>0001</qid>\n<content>a picture</content>\n<description>You want one.</description>\n"
        "</query>\n<query>\n<qid>0002</qid>\n<content>men's</content>\n<description>x</description>\n</query>\n</queries>\n",
        [("1", "a picture"), ("2", "men's")],
    ),
    "WebTopicReader": ("1:obama family tree\n2:kcs\n", [("1", "obama family tree"), ("2", "kcs")]),
    "PrioritizedWebTopicReader": ("20001:1:obama family\n20002:4:at 7:30\n", [("20001", "obama family"), ("20002", "at 7:30")]),
    "DprNqTopicReader": (
        "who sings it\t['Linda Davis']\nhow many\t[\"581's\", '582']\n", [("0", "who sings it"), ("1", "how many")],
    ),
    "DprJsonlTopicReader": (
        '{"question": "How tall is it?", "answer": ["20 feet"]}\n{"question": "Which?", "answer": ["A"]}\n',
        [("0", "How tall is it?"), ("1", "Which?")],
    ),
    "BackgroundLinkingTopicReader": (
        "<top>\n<num> Number: 321 </num>\n<docid>9171debc</docid>\n<url>https://example.org/a</url>\n</top>\n",
        [("321", "9171debc")],
    ),
    "MicroblogTopicReader": (
        "<top>\n<num> Number: MB001 </num>\n<title> staff cuts </title>\n<querytime> Tue </querytime>\n"
        "<querytweettime> 34952194402811904 </querytweettime>\n</top>\n",
        [("1", "staff cuts")],
    ),
    "TrecTopicReader": (BLOCK.format("AR26") + BLOCK.format("AR27"), [("26", "first words"), ("27", "first words")]),
}  # fmt: skip


@pytest.mark.parametrize("reader", FORMS)
def test_formats_of_tracks_are_read_as_anserini_reads_them(tmp_path, reader):
    text, expected = FORMS[reader]
    path = write(tmp_path / "topics.txt", text)
    assert [(query.qid, query.text) for query in read_topics(path)] == expected
    if reader == "PrioritizedWebTopicReader":  # Anserini takes the priority for the title
        return
    assert [(qid, fields["title"]) for qid, fields in read_with_anserini(path, reader)] == expected


def test_fire_topics(tmp_path):
    topic = "<top lang='en'>\n<num>{}</num>\n<title>{}</title>\n<desc>some text</desc>\n<narr>more</narr>\n</top>\n"
    path = write(tmp_path / "t.txt", "<topics>\n" + topic.format(176, "one") + topic.format(177, "two") + "</topics>")
    assert read_topics(path) == [Query("176", "one"), Query("177", "two")]
    assert read_topics(path, field="desc+narr") == [Query("176", "some text more"), Query("177", "some text more")]


def test_million_query_topics_may_be_latin_1(tmp_path, caplog):
    path = tmp_path / "mq.txt"
    path.write_bytes("1:one\n2:caf\xe9 a\xf1o\n3:na\xefve\n".encode("latin-1"))
    assert [query.text for query in read_topics(path)] == ["one", "café año", "naïve"]
    assert caplog.messages == [f"{path}: not UTF-8, so read as ISO 8859-1, the encoding of the Million Query tracks"]


def test_long_lines_are_not_cut_by_the_limit_of_the_csv_library(tmp_path):
    tokens = "token " * 30_000
    assert read_topics(write(tmp_path / "t.tsv", f"q1\t{tokens}\n"), encoded=True) == [
        Query("q1", "", {"token": 30_000})
    ]
    assert read_topics(write(tmp_path / "t.csv", f'qid,query\nq1,"{tokens}"\n')) == [Query("q1", tokens)]


def test_epic_qa_topics_have_fields(tmp_path):
    records = [
        {"question_id": f"CQ00{number}", "question": "what is it", "query": f"origin {number}", "background": "why"}
        for number in (1, 2)
    ]
    path = write(tmp_path / "t.json", json.dumps(records, indent=2))
    assert read_topics(path) == [Query("CQ001", "origin 1"), Query("CQ002", "origin 2")]
    assert read_topics(path, field="desc+narr")[0] == Query("CQ001", "what is it why")


def test_questions_of_dpr_are_numbered_and_this_is_noted(tmp_path, caplog):
    path = write(tmp_path / "nq-test.qa.csv", 'who sings "it"\t[\'a\']\n\n"the ""other"" one"\t["b\'s"]\n')
    assert read_topics(path) == [Query("0", 'who sings "it"'), Query("1", 'the "other" one')]
    assert caplog.messages == [f"{path}: these questions have no qids, so they are numbered from 0, as in Anserini"]


# ---- forms of JSON, compression, folders ----


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("name", ["t.json", "t.jsonl", "t.json.bz2", "t.txt"])
def test_json_arrays(tmp_path, name, indent):
    records = [{"id": "1", "text": "one"}, {"id": 2, "title": "two é"}]
    text = json.dumps(records, indent=indent).encode()
    (tmp_path / name).write_bytes(bz2.compress(text) if name.endswith("bz2") else text)
    assert read_topics(tmp_path / name) == [Query("1", "one"), Query("2", "two é")]


def test_faults_of_arrays(tmp_path):
    path = write(tmp_path / "t.json", '[\n{"id": "1", "text": "x"},\n{"id": "a b", "text": "x"}]')
    assert refused(path).startswith(f"{path}:3: the qid 'a b'")
    path = write(tmp_path / "t.json", '[\n{"id": "1", "text": "x"},\n')
    assert refused(path).startswith(f"{path}:3: invalid JSON")


def test_queries_that_are_no_texts_are_named(tmp_path):
    path = write(tmp_path / "t.jsonl", '{"qid": "1", "vector": [0.5, 1]}\n')
    assert "the query is a dense vector. Use the topics with texts" in refused(path)
    path = write(tmp_path / "t.jsonl", '{"qid": "1", "query_txt": "what", "query_img_path": "a.jpg"}\n')
    assert "the query has an image" in refused(path)


def test_folders_have_one_file_of_queries_or_judgments(tmp_path, caplog):
    write(tmp_path / "queries.dev.tsv", "1\tdev\n")
    write(tmp_path / "collection.tsv", "1\tdocument\n")
    write(tmp_path / "._queries.dev.tsv", "?")
    write(tmp_path / "qrels.dev.tsv", "1\t0\t1\t1\n")
    assert read_topics(tmp_path) == [Query("1", "dev")]
    assert read_qrels(tmp_path) == {"1": {"1": 1}}
    write(tmp_path / "queries.train.tsv", "2\ttrain\n")
    write(tmp_path / "qrels.train.tsv", "2\t0\t1\t1\n")
    assert "several files of queries: queries.dev.tsv, queries.train.tsv" in refused(tmp_path)
    with pytest.raises(RunError, match=r"several files of qrels: qrels\.dev\.tsv, qrels\.train\.tsv"):
        read_qrels(tmp_path)
    write(tmp_path / "queries.jsonl", '{"_id": "q", "text": "beir"}\n')
    assert read_topics(tmp_path) == [Query("q", "beir")]
    assert caplog.messages == [f"{tmp_path}: reading queries.jsonl; skipping queries.dev.tsv, queries.train.tsv"]


# ---- encoded ----


@pytest.mark.parametrize("name", ["t.tsv", "t.tsv.gz"])
def test_anserinis_form(tmp_path, name):
    path = write(tmp_path / name, "1048585\tpaula paula brother paula ##s\n2\tx\n")
    assert read_topics(path, encoded=True) == [
        Query("1048585", "", {"paula": 3, "brother": 1, "##s": 1}),
        Query("2", "", {"x": 1}),
    ]


def test_json_vectors(tmp_path):
    path = write(
        tmp_path / "t.jsonl", '{"id": "1", "text": "t", "vector": {"a": 3, "b": 1}}\n{"id": 2, "vector": {}}\n'
    )
    assert [(query.qid, query.vector) for query in read_topics(path, encoded=True)] == [
        ("1", {"a": 3, "b": 1}),
        ("2", {}),
    ]


def test_anserinis_json_of_repeated_terms_is_known_by_its_name(tmp_path):
    """As topics.rag25.test.splade-v3.jsonl.gz; under another name the title may be a text."""
    line = '{"id": "191", "title": "been been rehab"}\n'
    path = write(tmp_path / "topics.rag25.test.splade-v3.jsonl", line)
    assert read_topics(path, encoded=True) == [Query("191", "", {"been": 2, "rehab": 1})]
    assert "contains encoded queries. Pass encoded=True" in refused(path)
    other = write(tmp_path / "mine.jsonl", line)
    assert read_topics(other) == [Query("191", "been been rehab")]
    assert 'no "vector" that maps terms to impacts. Leave out encoded=True' in refused(other, encoded=True)


@pytest.mark.parametrize("name", ["t.tsv", "t.jsonl"])
@pytest.mark.parametrize(
    ("query", "message"),
    [
        (Query("a b", "", {"x": 1}), "the qid 'a b' is not valid"),
        (
            Query("1", "", {"x": 2.5}),  # type: ignore[dict-item]
            "term 'x' has impact 2.5. Quantize the query",
        ),
        (Query("1", "", {"x": -1}), "term 'x' has impact -1"),
        (
            Query("1", "", {3: 1}),  # type: ignore[dict-item]
            "the term 3 is not a string",
        ),
        (Query("0", "", {"x": 1}), "duplicate qid '0'"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(tmp_path, name, query, message):
    with pytest.raises(TopicsError, match=re.escape(message)):
        write_encoded_topics(tmp_path / name, [Query("0", "", {"x": 1}), query])
    assert not [*tmp_path.iterdir()]


def test_impacts_of_numpy_are_written(tmp_path):
    write_encoded_topics(tmp_path / "t.jsonl", [Query("1", "", {"x": np.int64(3)})])  # type: ignore[dict-item]
    assert read_topics(tmp_path / "t.jsonl", encoded=True)[0].vector == {"x": 3}


def test_written_lines_by_hand(tmp_path):
    queries = [
        Query("1", "text é", {"b": 2, "a": 3}),
        Query("2", "nothing", {}),
        Query("3", "", {"x": 1}),
        Query("4", "not encoded"),
    ]
    assert write_encoded_topics(tmp_path / "t.tsv", queries) == 2
    assert (tmp_path / "t.tsv").read_text() == "1\tb b a a a\n3\tx\n"  # Anserini's reader fails on an empty query
    assert write_encoded_topics(tmp_path / "t.jsonl", queries) == 4
    lines = (tmp_path / "t.jsonl").read_text(encoding="utf-8").splitlines()
    assert lines[0] == '{"id": "1", "text": "text é", "vector": {"b": 2, "a": 3}}'
    assert [json.loads(line)["vector"] for line in lines] == [{"b": 2, "a": 3}, {}, {"x": 1}, {}]
    assert write_encoded_topics(tmp_path / "t.tsv.gz", queries) == 2
    assert gzip.decompress((tmp_path / "t.tsv.gz").read_bytes()) == b"1\tb b a a a\n3\tx\n"


def test_zero_impacts_leave_no_empty_tokens(tmp_path):
    # JSON topics may hold them; a line without a token crashes Anserini's reader
    path = write(tmp_path / "t.jsonl", '{"id": "1", "vector": {"a": 0}}\n{"id": "2", "vector": {"a": 0, "b": 2}}\n')
    queries = read_topics(path, encoded=True)
    write_encoded_topics(tmp_path / "t.tsv", queries)
    assert (tmp_path / "t.tsv").read_text() == "2\tb b\n"


@pytest.mark.parametrize("name", ["t.jsonl.gz", "t.json"])
def test_names_that_are_read_as_json_are_written_as_json(tmp_path, name):
    queries = [Query("1", "text", {"a": 2})]
    write_encoded_topics(tmp_path / name, queries)
    assert [(query.qid, query.vector) for query in read_topics(tmp_path / name, encoded=True)] == [("1", {"a": 2})]


def test_terms_with_what_java_takes_for_no_white_space(tmp_path):
    # a term with a no-break space is one token of Anserini's whitespace analyzer
    queries = [Query("1", "", {"a\u00a0b": 2, "c\u2007\u202f\u0085d": 1})]
    write_encoded_topics(tmp_path / "t.tsv", queries)
    assert read_topics(tmp_path / "t.tsv", encoded=True) == queries


def test_an_exception_while_writing_leaves_nothing(tmp_path):
    def queries():
        yield Query("1", "", {"a": 1})
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        write_encoded_topics(tmp_path / "t.tsv", queries())
    assert list(tmp_path.iterdir()) == []


def test_writing_below_a_file_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="cannot write"):
        write_encoded_topics(tmp_path / "file" / "t.tsv", [])


id_characters = st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"])
qids = st.text(id_characters, min_size=1, max_size=12).filter(lambda qid: not qid.startswith("\ufeff"))
terms = st.text(id_characters, min_size=1, max_size=12)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
vectors = st.dictionaries(terms, st.integers(1, 300), max_size=6)
encoded_queries = st.lists(
    st.builds(Query, qids, texts, vectors), min_size=1, max_size=6, unique_by=lambda query: query.qid
)


@given(encoded_queries)
def test_encoded_queries_are_read_back(tmp_path_factory, queries):
    folder = tmp_path_factory.mktemp("round")
    assert write_encoded_topics(folder / "t.jsonl", queries) == len(queries)
    assert [(query.qid, query.vector) for query in read_topics(folder / "t.jsonl", encoded=True)] == [
        (query.qid, query.vector) for query in queries
    ]
    kept = [(query.qid, query.vector) for query in queries if query.vector]
    assert write_encoded_topics(folder / "t.tsv", queries) == len(kept)
    if kept:
        assert [(query.qid, query.vector) for query in read_topics(folder / "t.tsv", encoded=True)] == kept
    for line, (_, vector) in zip((folder / "t.tsv").read_text(encoding="utf-8").split("\n"), kept, strict=False):
        tokens = line.split("\t")[1].split(" ")
        runs = [token for i, token in enumerate(tokens) if i == 0 or tokens[i - 1] != token]
        assert runs == list(vector)  # each term's tokens stand together
        assert len(tokens) == sum(vector.values())


one_line = texts.map(lambda text: text.replace("\n", " ").rstrip("\r"))


@given(st.lists(st.builds(Query, qids, one_line), min_size=1, max_size=6, unique_by=lambda query: query.qid))
@example([Query("/", ""), Query("0", "0")])
def test_texts_are_read_back(tmp_path_factory, queries):
    folder = tmp_path_factory.mktemp("round")
    write(folder / "t.tsv", "".join(f"{query.qid}\t{query.text}\n" for query in queries))
    write(folder / "t.jsonl", "".join(json.dumps({"_id": q.qid, "text": q.text}) + "\n" for q in queries))
    assert read_topics(folder / "t.tsv") == queries
    assert read_topics(folder / "t.jsonl") == queries


# ---- faults ----


@pytest.mark.parametrize("name", ["t.tsv", "t.jsonl"])
def test_a_qid_with_a_byte_order_mark_is_not_written(tmp_path, name):
    with pytest.raises(TopicsError, match="begins with a byte order mark. Remove the mark"):
        write_encoded_topics(tmp_path / name, [Query("\ufeff1", "", {"a": 1})])
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("name", ["t.tsv", "t.jsonl"])
def test_repeated_qid_names_both_lines(tmp_path, name):
    tsv = "7\tone\n\n8\ttwo\n7\tthree\n"
    lines = '{"id": "7", "text": "one"}\n\n{"id": "8", "text": "two"}\n{"id": 7, "text": "three"}\n'
    path = write(tmp_path / name, tsv if name == "t.tsv" else lines)
    message = refused(path)
    assert message.startswith(f"{path}:4: duplicate qid '7', first used on line 1")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"id": "2", ', "invalid JSON"),
        ('["2"]', "not a JSON object"),
        ('{"text": "x"}', "none of the keys id, _id, qid"),
        ('{"id": "2"}', "the query has no text. Store the text as text or contents or query or title"),
        ('{"id": "2", "text": 5}', "the query has no text"),
        (
            '{"id": "2", "vector": {"a": 1}}',
            "the query has no text. It is encoded already: search for it with encoded=True",
        ),
        ('{"id": "", "text": "x"}', "the qid ''"),
        ('{"id": "a b", "text": "x"}', "the qid 'a b'"),
        ('{"id": 1.5, "text": "x"}', "the qid 1.5"),
        ('{"id": true, "text": "x"}', "the qid True"),
    ],
)
def test_bad_json_line_is_named(tmp_path, line, says):
    path = write(tmp_path / "t.jsonl", f'{{"id": "1", "text": "one"}}\n{line}\n')
    message = refused(path)
    assert message.startswith(f"{path}:2: ")
    assert says in message


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"id": "2", "text": "x"}', 'no "vector" that maps terms to impacts. Leave out encoded=True for texts'),
        ('{"id": "2", "vector": [1]}', 'no "vector"'),
        ('{"id": "2", "vector": {"a": 1.5}}', "term 'a' has impact 1.5"),
        ('{"id": "2", "vector": {"a": -1}}', "term 'a' has impact -1"),
        ('{"id": "2", "vector": {"a": "3"}}', "term 'a' has impact '3'"),
        ('{"id": "2", "vector": {"a": true}}', "term 'a' has impact True"),
    ],
)
def test_bad_vector_is_named(tmp_path, line, says):
    path = write(tmp_path / "t.jsonl", f'{{"id": "1", "vector": {{"a": 1}}}}\n{line}\n')
    message = refused(path, encoded=True)
    assert message.startswith(f"{path}:2: ")
    assert says in message


@pytest.mark.parametrize(
    ("line", "says"), [("no tab", "no tab between qid and text"), ("a b\tx", "the qid 'a b'"), ("\tx", "the qid ''")]
)
@pytest.mark.parametrize("encoded", [False, True])
def test_bad_tsv_line_is_named(tmp_path, line, says, encoded):
    path = write(tmp_path / "t.tsv", f"1\tone\n{line}\n")
    message = refused(path, encoded=encoded)
    assert message.startswith(f"{path}:2: ")
    assert says in message


@pytest.mark.parametrize("name", ["t.tsv", "t.jsonl", "t.tsv.gz"])
def test_file_without_a_query(tmp_path, name):
    assert "no queries in this file" in refused(write(tmp_path / name, "\n \n"))


def test_parquet(tmp_path):
    table = pa.table({"_id": [1, 2], "text": ["one", None], "title": [None, "two"]})
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    assert read_topics(tmp_path / "t.parquet") == [Query("1", "one"), Query("2", "two")]
    assert "cannot be read from Parquet" in refused(tmp_path / "t.parquet", encoded=True)
    (tmp_path / "u.parquet").write_bytes(b"nonsense")
    assert "not a Parquet file" in refused(tmp_path / "u.parquet")


def test_missing_file(tmp_path):
    assert "no such file" in refused(tmp_path / "nothing.tsv")
    with pytest.raises(TopicsError, match=r"queries\.jsonl: no such file"):
        read_topics(tmp_path)


def test_not_utf8(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_bytes("1\tcafé\n".encode("latin-1"))
    assert "not UTF-8" in refused(path)


def test_damaged_gzip(tmp_path):
    whole = gzip.compress("".join(f"{i}\ttext {i * i}\n" for i in range(2000)).encode())
    for name, data in (("cut", whole[:-100]), ("plain", b"1\tx"), ("flipped", whole[:50] + b"\xff" * 50 + whole[100:])):
        path = tmp_path / f"{name}.tsv.gz"
        path.write_bytes(data)
        assert "cannot read" in refused(path)


def test_byte_order_mark_is_no_part_of_the_first_qid(tmp_path):
    assert read_topics(write(tmp_path / "t.tsv", "\ufeff1\tone\n")) == [Query("1", "one")]
