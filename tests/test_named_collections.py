"""Names of topics and judgments: those of Anserini and Pyserini, 1.x and 2.x, over folders with fake files."""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
import zipfile
from types import SimpleNamespace

import pytest
from support.java import has_lucene_10
from support.processes import ROOT

from splade_lucene import find_qrels, find_topics, jvm, read_qrels, read_topics
from splade_lucene.errors import MissingDependencyError, RunError, TopicsError
from splade_lucene.records import Query
from splade_lucene.topics import named

sys.path.insert(0, str(ROOT / "tools"))
import collection_names  # type: ignore[import-not-found]


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """The folders that are looked in, in their order; none exists yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPLADE_LUCENE_COLLECTIONS", str(tmp_path / "mine"))
    monkeypatch.setenv("PYSERINI_CACHE", str(tmp_path / "pyserini"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return [
        tmp_path / "mine",
        tmp_path / "mine" / "topics",
        tmp_path / "tools" / "topics-and-qrels",
        tmp_path / "tools" / "topics",
        tmp_path / "pyserini" / "topics-and-qrels",
        tmp_path / "pyserini" / "topics",
        tmp_path / "cache" / "splade-lucene" / "topics-and-qrels",
    ]


def put(folder, name, text):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return folder / name


def test_checkout_of_anserini_tools_has_a_folder_for_each_kind(folders):
    topics = put(folders[0] / "topics", "topics.robust04.txt", "1\ta query\n")
    qrels = put(folders[0] / "qrels", "qrels.robust04.txt", "q 0 d 1\n")
    assert find_topics("robust04") == topics
    assert find_qrels("robust04") == qrels
    assert read_qrels("robust04") == {"q": {"d": 1}}


# The files are those that Anserini's documentation of its regressions names.
@pytest.mark.parametrize(
    ("name", "topics", "qrels"),
    [
        ("msmarco-passage-dev-subset", "topics.msmarco-passage.dev-subset.txt", "qrels.msmarco-passage.dev-subset.txt"),
        ("msmarco-v1-passage.dev", "topics.msmarco-passage.dev-subset.txt", "qrels.msmarco-passage.dev-subset.txt"),
        ("dl19-passage", "topics.dl19-passage.txt", "qrels.dl19-passage.txt"),
        ("dl20-passage", "topics.dl20.txt", "qrels.dl20-passage.txt"),
        ("dl20", "topics.dl20.txt", None),
        ("beir-v1.0.0-scifact-test", "topics.beir-v1.0.0-scifact.test.tsv.gz", "qrels.beir-v1.0.0-scifact.test.txt"),
        ("beir-v1.0.0-scifact.test", "topics.beir-v1.0.0-scifact.test.tsv.gz", "qrels.beir-v1.0.0-scifact.test.txt"),
        ("BEIR_V1_0_0_SCIFACT_TEST", "topics.beir-v1.0.0-scifact.test.tsv.gz", "qrels.beir-v1.0.0-scifact.test.txt"),
        ("topics.robust04.txt", "topics.robust04.txt", None),
        ("robust04", "topics.robust04.txt", "qrels.robust04.txt"),
    ],
)
def test_names_stand_for_the_files_that_anserini_documents(folders, name, topics, qrels):
    if qrels:
        path = put(folders[-1], qrels, "q 0 d 1\n")
        assert find_qrels(name) == path
    path = put(folders[-1], topics, "1\ta query\n")
    assert find_topics(name) == path
    if "robust04" not in name:
        assert read_topics(name) == [Query("1", "a query")]


@pytest.mark.parametrize("kind", ["topics", "qrels"])
def test_every_name_of_anserini_and_pyserini_1_is_known(kind):
    if not hasattr(jvm.java_class(collection_names.CLASSES[kind]), "values"):
        pytest.skip("Anserini 2.x has no enum of names")
    theirs = collection_names.read_anserini_1(kind)
    names = named.files_by_name(kind)
    assert len(theirs) > 400
    assert {name: names[named.name_key(name)] for name in theirs} == theirs


@pytest.mark.parametrize(("kind", "key"), [("topics", "id"), ("qrels", "qrels")])
def test_every_name_of_anserini_2s_reproductions_is_known(kind, key):
    """Its jar has no table of names, but the configurations of its reproductions use them."""
    if not has_lucene_10():
        pytest.skip("Anserini 1.x has an enum of names")
    with zipfile.ZipFile(jvm.find_fatjar()) as jar:
        texts = [jar.read(name).decode() for name in jar.namelist() if re.search(r"/configs/[^/]+\.yaml$", name)]
    names = {name for text in texts for name in re.findall(rf"^ +{key}: *([\w.-]+)$", text, re.MULTILINE)}
    assert len(names) > 100
    known = named.files_by_name(kind)
    assert {name for name in names if named.name_key(name) not in known} == set()


def test_folders_are_looked_in_one_after_another(folders):
    for folder in reversed(folders):
        put(folder, "topics.dl19-passage.txt", f"1\tfrom {folder.parent.name}\n")
        assert find_topics("dl19-passage").resolve() == folder / "topics.dl19-passage.txt"
    (folders[0] / "topics.dl19-passage.txt").unlink()
    packed = put(folders[0], "topics.dl19-passage.txt.gz", "1\tpacked\n")
    assert find_topics("dl19-passage") == packed


def test_files_come_before_names(folders, tmp_path):
    put(folders[0], "topics.robust04.txt", "1\tother\n")
    path = put(tmp_path, "robust04", "1\tmine\n")
    assert find_topics("robust04").resolve() == path
    assert read_topics("robust04") == [Query("1", "mine")]


def test_a_file_that_is_not_here_names_its_source(folders):
    with pytest.raises(TopicsError) as caught:
        find_topics("dl19-passage")
    message = str(caught.value)
    for each in (
        folders[0],
        "tools/topics-and-qrels",
        *folders[4:],
        named.SOURCE + "/topics/topics.dl19-passage.txt",
        "irds:msmarco-passage/trec-dl-2019",
    ):
        assert str(each) in message
    with pytest.raises(RunError, match="irds:beir/scifact/test"):
        find_qrels("beir-v1.0.0-scifact-test")


def test_names_that_nobody_knows(folders):
    with pytest.raises(TopicsError, match=r"Anserini has no topics of this name. Similar names: dl19-passage"):
        find_topics("dl19-pasage")
    with pytest.raises(RunError, match=r"Anserini has no qrels of this name. Similar names: .*dl20-passage"):
        find_qrels("dl20")
    for source in ("nothing.tsv", "some/where", "my topics"):
        with pytest.raises(TopicsError, match="no such file"):
            read_topics(source)


def test_qrels_lie_where_anserini_2_puts_them(folders, tmp_path):
    path = put(tmp_path / "pyserini" / "qrels", "qrels.dl19-passage.txt", "1 0 d 1\n")
    assert find_qrels("dl19-passage") == path


@pytest.mark.process
def test_neither_a_path_nor_a_name_needs_java(folders, tmp_path):
    path = put(tmp_path, "topics.tsv", "1\tone\n")
    put(folders[0], "topics.dl19-passage.txt", "1\tone\n")
    code = f"import sys, splade_lucene as s; [s.read_topics(each) for each in ({str(path)!r}, 'dl19-passage')]; print('jnius' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


# ---- what a name says ----


def test_encoded_topics_are_not_taken_for_texts(folders):
    put(folders[0], "topics.dl19-passage.splade-pp-ed.tsv.gz", "1\tcat cat dog\n")
    put(folders[0], "topics.dl19-passage.txt", "1\tcat and dog\n")
    assert read_topics("dl19-passage-splade-pp-ed", encoded=True) == [Query("1", "", {"cat": 2, "dog": 1})]
    with pytest.raises(TopicsError, match="contains encoded queries. Pass encoded=True"):
        read_topics("dl19-passage-splade-pp-ed")
    with pytest.raises(TopicsError, match="contains texts. Leave out encoded=True"):
        read_topics("dl19-passage", encoded=True)
    put(folders[0], "topics.dl19-passage.bge-base-en-v1.5.jsonl.gz", '{"qid": 1, "vector": [0.5]}\n')
    with pytest.raises(TopicsError, match="dense vectors"):
        read_topics("dl19-passage.bge-base-en-v1.5")


def test_forms_of_single_tracks_are_read_by_anserinis_readers(folders):
    put(folders[0], "topics.cacm.txt", "<DOC>\n<DOCNO> 10 </DOCNO>\nParallel languages;\nin  computers\n</DOC>\n"
        "<DOC>\n<DOCNO> 2 </DOCNO>\nintermediate languages\n</DOC>\n")  # fmt: skip
    assert read_topics("cacm") == [
        Query("2", "intermediate languages"),
        Query("10", "Parallel languages; in computers"),
    ]
    with pytest.raises(TopicsError, match=r"topic '2' has no desc \(its fields: title\)"):
        read_topics("cacm", field="desc")


# ---- ir_datasets ----

QUERIES = [SimpleNamespace(query_id="1", title="few  words", description="a sentence", narrative="what\nis relevant",
                           default_text=lambda: "few words")]  # fmt: skip
PLAIN = [SimpleNamespace(query_id="2", text="text", default_text=lambda: "text")]
JUDGMENTS = [
    SimpleNamespace(query_id="1", doc_id="d1", relevance=2),
    SimpleNamespace(query_id="2", doc_id="d2", relevance=0),
]


@pytest.fixture
def fake_ir_datasets(monkeypatch):
    def load(name):
        if name not in ("plain", "fields", "documents"):
            raise KeyError(name)
        has = name != "documents"
        queries = QUERIES if name == "fields" else PLAIN
        return SimpleNamespace(
            has_queries=lambda: has, has_qrels=lambda: has, queries_iter=lambda: queries, qrels_iter=lambda: JUDGMENTS
        )

    monkeypatch.setitem(sys.modules, "ir_datasets", SimpleNamespace(load=load))


def test_ir_datasets(folders, fake_ir_datasets):
    assert read_topics("irds:plain") == [Query("2", "text")]
    assert [query.text for query in read_topics("irds:fields", field="title+desc+narr")] == [
        "few words a sentence what is relevant"
    ]
    path = find_qrels("irds:plain")
    assert path.parent == folders[-1]
    assert path.read_text() == "1 0 d1 2\n2 0 d2 0\n"
    assert read_qrels(path) == {"1": {"d1": 2}, "2": {"d2": 0}}
    with pytest.raises(TopicsError, match="topic '2' has no desc"):
        read_topics("irds:plain", field="desc")
    with pytest.raises(TopicsError, match="ir_datasets has no data set 'nothing'"):
        read_topics("irds:nothing")
    with pytest.raises(RunError, match="irds:documents has no qrels"):
        find_qrels("irds:documents")
    with pytest.raises(TopicsError, match="no encoded queries"):
        read_topics("irds:plain", encoded=True)


def test_ir_datasets_is_optional(monkeypatch):
    monkeypatch.setitem(sys.modules, "ir_datasets", None)
    with pytest.raises(MissingDependencyError, match=r"splade-lucene\[irds\]"):
        read_topics("irds:beir/scifact/test")


def test_twins_are_in_ir_datasets():
    registry = pytest.importorskip("ir_datasets").registry
    for kind in ("topics", "qrels"):
        twins = {named._ir_datasets_equivalent(entry.file) for entry in named.files_by_name(kind).values()}
        assert len(twins) > 30
        assert all(twin.removeprefix("irds:") in registry._registered for twin in twins if twin)


def test_the_source_is_the_one_that_anserini_fetches_from():
    with zipfile.ZipFile(jvm.find_fatjar()) as jar:
        try:
            registry = jar.read("io/anserini/search/topicreader/Topics.class")
        except KeyError:
            registry = b""
    if b"castorini/eval" not in registry:
        pytest.skip("Anserini 1.x fetches from anserini-tools, which has moved its files")
    assert named.SOURCE.encode() in registry
