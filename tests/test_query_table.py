"""Query weights from a table: computed from a model, and those of the embedded document-only model."""

import json

import numpy as np
import pytest
from support.checkpoints import bert
from support.processes import run_python

from splade_lucene import LuceneImpactSearcher, SpladeEncoder, encode_corpus, index_pseudo_documents, open_query_encoder
from splade_lucene.encoder.layout import TableSide
from splade_lucene.models import embedded_query_table
from splade_lucene.quantizer import Quantizer
from splade_lucene.training.query_table import make_query_table, write_query_table

QUERIES = ["the heart pumps blood", "blood and oxygen", "the heart of the matter", "an inverted index"] * 8
PASSAGES = ["The heart pumps blood through the body.", "Lucene writes an inverted index.", "the end"] * 5


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return SpladeEncoder(bert(tmp_path_factory.mktemp("model")), device="cpu", dtype="float32")


def test_a_frequent_term_weighs_what_the_model_gives_it_on_average(encoder):
    table = make_query_table(encoder, QUERIES, PASSAGES)
    weights = encoder.encode_queries(QUERIES)
    given = [weights[number].get("blood", 0.0) for number, text in enumerate(QUERIES) if "blood" in text]
    assert len(given) == 16
    mean = np.mean(given)
    assert abs(table["blood"] - mean) < abs(3 / 19 * mean) + 0.25  # drawn a little towards what others let expect
    assert not any(term.startswith("[") and term.endswith("]") and term[1:-1].isupper() for term in table)
    assert all(weight > 0 for weight in table.values())


def test_a_term_that_no_query_holds_weighs_what_its_frequency_lets_expect(encoder):
    table = make_query_table(encoder, QUERIES, PASSAGES)
    unseen = [weight for term, weight in table.items() if term not in " ".join([*QUERIES, *PASSAGES]).lower()]
    assert len(unseen) > 1000
    assert np.ptp(np.percentile(unseen, [5, 95])) < 1e-3  # nearly all of them are equally rare


def test_a_written_table_is_read_by_the_encoder(encoder, tmp_path):
    table = make_query_table(encoder, QUERIES, PASSAGES)
    folder = bert(tmp_path / "model")
    write_query_table(folder / "query_token_weights.txt", table)
    sibling = SpladeEncoder(folder, device="cpu", dtype="float32")
    assert isinstance(sibling.layout.queries, TableSide)
    (found,) = sibling.encode_queries(["blood of the heart"])
    assert found == {term: pytest.approx(table[term]) for term in ("blood", "of", "the", "heart") if term in table}


# ---- the embedded model's sibling ----


@pytest.mark.model
def test_the_sibling_shares_the_weights_and_costs_under_a_megabyte():
    assert embedded_query_table().stat().st_size < 1 << 20
    sibling, embedded = SpladeEncoder("splade-minilm-doc", device="cpu"), SpladeEncoder(device="cpu")
    assert sibling.layout.documents.location.digest() == embedded.layout.documents.location.digest()
    text = "The heart pumps blood through the body."
    (mine,), (theirs,) = sibling.encode_documents([text]), embedded.encode_documents([text])
    assert mine == {term: weight for term, weight in theirs.items() if term not in ("[CLS]", "[SEP]")}


@pytest.mark.model
@pytest.mark.java
def test_its_queries_need_no_network(tmp_path):
    (tmp_path / "corpus.tsv").write_text("d1\tThe heart pumps blood.\nd2\tSQL queries a table.\nd3\tRivers flow.\n")
    rule = Quantizer.named("naver")
    encode_corpus(tmp_path / "corpus.tsv", tmp_path / "parts", SpladeEncoder("splade-minilm-doc", device="cpu"), rule)
    index_pseudo_documents(tmp_path / "parts", tmp_path / "index")
    query_encoder = open_query_encoder(tmp_path / "index")
    table = dict(line.rsplit("\t", 1) for line in embedded_query_table().read_text(encoding="utf-8").splitlines())
    expected = {term: round(100 * float(table[term])) for term in ("heart", "blood") if term in table}
    assert query_encoder.encode("heart blood") == expected
    with LuceneImpactSearcher(tmp_path / "index") as searcher:
        assert searcher.search("heart blood")[0].docid == "d1"
    code = (
        "import json, sys\nfrom splade_lucene import LuceneImpactSearcher\n"
        f"hits = LuceneImpactSearcher({str(tmp_path / 'index')!r}).search('heart blood')\n"
        "print(json.dumps([hits[0].docid, 'torch' in sys.modules, 'transformers' in sys.modules]))"
    )
    assert json.loads(run_python(code).stdout) == ["d1", False, False]
