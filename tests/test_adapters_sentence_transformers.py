"""A live SparseEncoder as our encoder, and our encoder for the evaluators of sentence-transformers."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.checkpoints import DOCUMENTS, QUERIES, tiny_checkpoint

from splade_lucene import (
    DocumentSettings,
    InputError,
    LuceneImpactSearcher,
    ModelError,
    Quantizer,
    SparseEncoderView,
    SpladeEncoder,
    build_index,
    encode_corpus,
    open_sparse_encoder,
)
from splade_lucene.adapters.sentence_transformers import is_sparse_encoder

sentence_transformers = pytest.importorskip("sentence_transformers")
from datasets import Dataset  # noqa: E402
from sentence_transformers import SparseEncoder  # noqa: E402
from sentence_transformers.base.modules import Router  # noqa: E402
from sentence_transformers.sparse_encoder.evaluation import (  # noqa: E402
    SparseInformationRetrievalEvaluator,
    SparseNanoBEIREvaluator,
    SparseTripletEvaluator,
)
from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding  # noqa: E402

pytestmark = [
    pytest.mark.model,
    pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta:UserWarning"),  # of PyTorch, once a process
]
CORPUS = {f"d{number}": text for number, text in enumerate(DOCUMENTS)}
TOPICS = {f"q{number}": text for number, text in enumerate(QUERIES)}
RELEVANT = {"q0": {"d0"}, "q1": {"d2"}, "q2": {"d0", "d1"}, "q3": {"d3"}}
UNLIKE = 2e-6
"""Weights of the same text differ in their last bits, because its batch and the order of additions do."""


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A model that differs from any checkpoint on disk."""
    model = SparseEncoder(str(tiny_checkpoint(tmp_path_factory.mktemp("tiny"), "bert")), device="cpu")
    with torch.no_grad():
        model[0].model.cls.predictions.bias.add_(0.125)
    return model


@pytest.fixture(scope="module")
def tiny(live: Any) -> SpladeEncoder:
    return open_sparse_encoder(live, device="cpu", dtype="float32")


def dense(found: Any) -> torch.Tensor:
    return found.to_dense() if found.is_sparse else found


# ---- theirs as ours ----


def test_weights_are_those_of_the_live_model(live, tiny):
    for ours, theirs in (
        (tiny.encode_documents(DOCUMENTS), live.encode_document(DOCUMENTS)),
        (tiny.encode_queries(QUERIES), live.encode_query(QUERIES)),
    ):
        expected = dense(theirs).numpy()
        assert np.count_nonzero(expected) > 100
        np.testing.assert_allclose(ours.to_scipy().toarray(), expected, rtol=0, atol=UNLIKE)


def test_training_it_further_does_not_change_what_was_opened(live, tiny):
    before = tiny.encode_queries(QUERIES).to_scipy().toarray()
    bias = live[0].model.cls.predictions.bias
    with torch.no_grad():
        bias.add_(0.5)
        after = open_sparse_encoder(live, device="cpu", dtype="float32")
        expected = dense(live.encode_query(QUERIES)).numpy()
        bias.sub_(0.5)
    assert after.query_digest() != tiny.query_digest()
    np.testing.assert_allclose(after.encode_queries(QUERIES).to_scipy().toarray(), expected, rtol=0, atol=UNLIKE)
    np.testing.assert_array_equal(tiny.encode_queries(QUERIES).to_scipy().toarray(), before)


def test_an_index_names_the_model_if_it_has_a_folder(live, tiny, tmp_path):
    corpus = tmp_path / "corpus.tsv"
    corpus.write_text("".join(f"{docid}\t{text}\n" for docid, text in CORPUS.items()), encoding="utf-8")
    kept = open_sparse_encoder(live, tmp_path / "kept", device="cpu", dtype="float32")
    build_index(corpus, tmp_path / "named", kept)
    build_index(corpus, tmp_path / "unnamed", tiny)
    found = []
    for index, encoder in (("named", None), ("unnamed", SparseQueries(tiny)), ("unnamed", tmp_path / "kept")):
        with LuceneImpactSearcher(tmp_path / index, encoder) as searcher:
            assert searcher.reader.manifest().model == (str(tmp_path / "kept") if index == "named" else "")
            found.append([(hit.docid, hit.score) for hit in searcher.search(QUERIES[1])])
    assert found[0] == found[1] == found[2]
    assert found[0][0][0] == "d2"
    with (
        LuceneImpactSearcher(tmp_path / "unnamed") as searcher,
        pytest.raises(InputError, match="no manifest that names"),
    ):
        searcher.search(QUERIES[1])
    with pytest.raises(InputError, match="kept: the folder exists and is not empty. Name a new folder"):
        open_sparse_encoder(live, tmp_path / "kept")


def test_a_live_model_in_the_place_of_an_encoder_is_refused_with_the_remedy(live, tmp_path):
    corpus = tmp_path / "corpus.tsv"
    corpus.write_text("d1\ta text\n")
    for rule in (None, Quantizer.named("naver")):
        with pytest.raises(InputError, match=r"expected a SpladeEncoder, got SparseEncoder. .*open_sparse_encoder"):
            build_index(corpus, tmp_path / "index", live, rule)
    with pytest.raises(InputError, match="expected a SpladeEncoder, got SparseEncoder"):
        encode_corpus(corpus, tmp_path / "encoded", live, Quantizer.named("naver"))


class SparseQueries:
    """A query encoder made only of their encoder and the rule."""

    def __init__(self, encoder: SpladeEncoder) -> None:
        self.encoder = encoder

    def encode(self, text: str) -> dict[str, int]:
        return self.encoder.encode_queries([text]).quantize(Quantizer.named("naver"), "query")[0]


def test_a_temporary_folder_goes_with_the_encoder(live):
    encoder = open_sparse_encoder(live, device="cpu")
    folder = Path(encoder.settings_on("cpu")["model"])
    assert (folder / "modules.json").is_file()
    assert encoder.settings_on("cpu")["device"] == "cpu"
    del encoder
    gc.collect()
    assert not folder.exists()


def test_prompts_and_inference_free_queries(live):
    terms = live.get_embedding_dimension()
    table = SparseStaticEmbedding(live.tokenizer, torch.linspace(0, 2, terms))
    router = Router.for_query_document([table], [live[0], live[1]])
    model = SparseEncoder(modules=[router], device="cpu", similarity_fn_name="dot", prompts={"document": "find: "})
    ours = open_sparse_encoder(model, device="cpu", dtype="float32")
    for found, expected in (
        (ours.encode_documents(DOCUMENTS), model.encode_document(DOCUMENTS)),
        (ours.encode_queries(QUERIES), model.encode_query(QUERIES)),
    ):
        np.testing.assert_allclose(found.to_scipy().toarray(), dense(expected).numpy(), rtol=0, atol=UNLIKE)


def test_what_cannot_be_the_same_is_refused(live, monkeypatch):
    with pytest.raises(InputError, match="expected a SparseEncoder of sentence-transformers, got str"):
        open_sparse_encoder("naver/splade-v3")
    monkeypatch.setattr(live, "max_active_dims", 64)
    with pytest.raises(ModelError, match=r"keeps at most 64 terms .*Pruning\(top_terms=64\)"):
        open_sparse_encoder(live)
    monkeypatch.setattr(live, "max_active_dims", None)
    live.similarity_fn_name = "cosine"
    try:
        with pytest.raises(ModelError, match="compares texts by cosine"):
            open_sparse_encoder(live)
    finally:
        live.similarity_fn_name = "dot"
    assert is_sparse_encoder(live)
    assert not is_sparse_encoder(object())


# ---- ours as theirs ----


def test_tensors_have_their_layout(live, tiny):
    view = SparseEncoderView(tiny)
    for ours, theirs in ((view.encode_query, live.encode_query), (view.encode_document, live.encode_document)):
        for inputs, options in (
            (QUERIES, {}),
            (QUERIES, {"convert_to_sparse_tensor": False}),
            (QUERIES, {"convert_to_tensor": False, "batch_size": 2, "show_progress_bar": False}),
            (QUERIES[0], {"save_to_cpu": True}),
            (QUERIES, {"max_active_dims": 5}),
        ):
            found, expected = ours(inputs, **options), theirs(inputs, **options)
            assert type(found) is type(expected)
            for one, other in zip(found, expected, strict=True) if isinstance(found, list) else [(found, expected)]:
                assert (one.shape, one.dtype, one.layout, one.device) == (
                    other.shape, other.dtype, other.layout, other.device,
                )  # fmt: skip
                torch.testing.assert_close(dense(one), dense(other), rtol=0, atol=UNLIKE)
    queries, documents = view.encode_query(QUERIES), view.encode_document(DOCUMENTS)
    torch.testing.assert_close(view.similarity(queries, documents), live.similarity(queries, documents), rtol=0, atol=0)
    pairs = view.similarity_pairwise(queries, documents)
    torch.testing.assert_close(pairs, live.similarity_pairwise(queries, documents), rtol=0, atol=0)
    assert view.sparsity(documents) == live.sparsity(documents)
    assert view.get_embedding_dimension() == live.get_embedding_dimension()
    torch.testing.assert_close(dense(view.encode(DOCUMENTS)), dense(documents))
    torch.testing.assert_close(dense(view.encode(QUERIES, task="query")), dense(queries))


def evaluator() -> Any:
    return SparseInformationRetrievalEvaluator(TOPICS, CORPUS, RELEVANT, name="tiny", write_csv=False)


def test_evaluators_give_the_same_metrics(live, tiny):
    view = SparseEncoderView(tiny)
    ours, theirs = evaluator()(view), evaluator()(live)
    assert list(ours) == list(theirs)
    assert len(ours) > 15
    assert ours == pytest.approx(theirs, abs=1e-6)
    assert view.model_card_data["tiny"] == ours
    triplets = SparseTripletEvaluator(
        QUERIES[:2], [DOCUMENTS[0], DOCUMENTS[2]], [DOCUMENTS[3], DOCUMENTS[1]], name="three"
    )
    assert triplets(view) == pytest.approx(triplets(live), abs=1e-6)
    assert [*view.model_card_data] == ["tiny", "three"]


class LocalNanoBeir(SparseNanoBEIREvaluator):
    """NanoBEIR's evaluator, with a collection that needs no network."""

    def _load_dataset_subset_split(self, subset: str, split: str, required_columns: list[str]) -> Dataset:
        rows: dict[str, list[dict[str, str]]] = {
            "corpus": [{"_id": docid, "text": text} for docid, text in CORPUS.items()],
            "queries": [{"_id": qid, "text": text} for qid, text in TOPICS.items()],
            "qrels": [{"query-id": qid, "corpus-id": docid} for qid, docids in RELEVANT.items() for docid in docids],
        }
        return Dataset.from_list(rows[subset])


def test_nano_beir_gives_the_same_metrics(live, tiny):
    nano = LocalNanoBeir(["scifact"], write_csv=False)
    ours, theirs = nano(SparseEncoderView(tiny)), nano(live)
    assert ours == pytest.approx(theirs, abs=1e-6)
    assert ours["NanoBEIR_mean_dot_ndcg@10"] > 0


def test_similarities_of_impacts_are_the_scores_of_an_index(tiny, tmp_path):
    rule = Quantizer.named("naver")
    view = SparseEncoderView(tiny, rule)
    scores = view.similarity(view.encode_query(QUERIES), view.encode_document(DOCUMENTS))
    corpus = tmp_path / "corpus.tsv"
    corpus.write_text("".join(f"{docid}\t{text}\n" for docid, text in CORPUS.items()), encoding="utf-8")
    build_index(corpus, tmp_path / "index", tiny, rule)
    with LuceneImpactSearcher(tmp_path / "index", SparseQueries(tiny)) as searcher:
        for number, text in enumerate(QUERIES):
            found = {hit.docid: hit.score for hit in searcher.search(text)}
            assert found == {f"d{n}": score for n, score in enumerate(scores[number].tolist()) if score}
            assert found


def test_other_prompts_and_arguments_are_refused(tiny, live):
    view = SparseEncoderView(tiny)
    with pytest.raises(InputError, match="the prompt 'find: ' is not the encoder's"):
        view.encode_query(QUERIES, prompt="find: ")
    with pytest.raises(InputError, match="unknown prompt_name 'passage'"):
        view.encode_document(DOCUMENTS, prompt_name="passage")
    with pytest.raises(InputError, match="unknown arguments: pool. Known are batch_size, "):
        view.encode(DOCUMENTS, pool=None)
    with pytest.raises(InputError, match="unknown task 'passage'"):
        view.encode(DOCUMENTS, task="passage")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="the encoder is on cpu, not on 'cuda:0'"):
        view.encode(DOCUMENTS, device="cuda:0")
    with pytest.raises(InputError, match="expected a SpladeEncoder, got SparseEncoder"):
        SparseEncoderView(live)
    prefixed = open_sparse_encoder(live, documents=DocumentSettings(prefix="find: "), device="cpu", dtype="float32")
    asked = SparseEncoderView(prefixed).encode_document(DOCUMENTS, prompt="find: ")
    torch.testing.assert_close(
        dense(asked), dense(live.encode_document(DOCUMENTS, prompt="find: ")), rtol=0, atol=UNLIKE
    )
