"""ONNX Runtime: the same impacts as with torch, files from elsewhere, files of other weights; first queries, then documents."""

import json
import shutil

import numpy as np
import onnx
import onnxruntime
import pytest
from safetensors import numpy as safetensors
from support.checkpoints import bert, byte_level_tokenizer, roberta_like
from support.commands import run
from support.processes import run_python
from support.progress import RecordedProgress

from splade_lucene import DocumentSettings, QuerySettings, SpladeEncoder, encode_corpus
from splade_lucene.encoder import onnx_network
from splade_lucene.encoder.layout import read_layout
from splade_lucene.encoder.onnx_export import export_onnx, save_with_onnx
from splade_lucene.encoder.onnx_graph import build_model, build_node, detach_decoder
from splade_lucene.encoder.onnx_head import OnnxHead
from splade_lucene.encoder.onnx_session import open_session
from splade_lucene.encoder.onnx_weights import restore_weights
from splade_lucene.encoder.storage import store_in_int8
from splade_lucene.errors import InputError, ModelError
from splade_lucene.manifest import read_folder_manifest
from splade_lucene.models import embedded_model_folder
from splade_lucene.pseudo_documents import parts
from splade_lucene.quantizer import Quantizer

TEXTS = [
    "the heart pumps blood",
    "",
    "blood",
    "what oxygen does to the blood of a heart that is not well",
    "   ",
    "##blood [SEP]",
]
DOCUMENTS = [*TEXTS, *(f"{'oxygen and blood ' * (i * 5 % 13)}of the {'heart ' * i}" for i in range(30))]


def encode(folder, backend, **settings):
    encoder = SpladeEncoder(folder, queries=QuerySettings(backend=backend, **settings), device="cpu")
    weights = encoder.encode_queries(TEXTS)
    assert encoder.query_backend == backend
    return weights


def assert_same_weights(folder, **settings):
    found, expected = encode(folder, "onnx", **settings), encode(folder, "torch", **settings)
    assert list(found.terms) == list(expected.terms)
    assert sum(map(len, expected)) > 10
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5)
    return found


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A small BERT, saved with an ONNX file."""
    folder = tmp_path_factory.mktemp("exported")
    save_with_onnx(distinguish(bert(folder / "original")), folder / "saved")
    return folder / "saved"


@pytest.fixture
def copied(exported, tmp_path):
    shutil.copytree(exported, tmp_path / "copy")
    return tmp_path / "copy"


def distinguish(folder):
    """Makes the factors of layer normalization all different, as training does."""
    path = folder / "model.safetensors"
    tensors, random = safetensors.load_file(path), np.random.default_rng(0)
    factors = {
        name: (tensor + random.normal(0, 0.1, tensor.shape)).astype(np.float32)
        for name, tensor in tensors.items()
        if "LayerNorm.weight" in name or name.endswith("layer_norm.weight")
    }
    assert factors
    safetensors.save_file(tensors | factors, path, {"format": "pt"})
    return folder


def inline(folder, name="onnx/model.onnx"):
    """Stores all weights in the ONNX file, as other exporters do."""
    (folder / name).parent.mkdir(exist_ok=True)
    model = onnx.load(folder / "model.onnx")
    del model.metadata_props[:]
    (folder / "model.onnx").unlink()
    onnx.save(model, folder / name)
    return folder / name


def encode_documents(folder, backend, **settings):
    encoder = SpladeEncoder(folder, DocumentSettings(**settings), device="cpu", dtype="float32", backend=backend)
    weights = encoder.encode_documents(DOCUMENTS)
    assert encoder.document_backend == backend
    return weights


# ---- equal to torch ----


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"pooling": "sum"},
        {"activation": "log1p_log1p_relu"},
        {"drop_specials": True},
        {"mode": "lexical"},
        {"prefix": "query: ", "max_length": 6},
    ],
    ids=str,
)
def test_weights_are_those_of_torch(exported, settings):
    found = assert_same_weights(exported, **settings)
    assert [len(row) for row in found][1::3] == [0, 0]  # blank


def assert_same_as_all_logits(folder, monkeypatch, **settings):
    """Weights of queries, each alone, by the head and from all logits."""
    encoders = []
    for is_detached in (True, False):
        if not is_detached:
            monkeypatch.setattr(onnx_network, "detach_decoder", lambda _: None)
        encoders.append(SpladeEncoder(folder, queries=QuerySettings(backend="onnx", **settings), device="cpu"))
        assert (encoders[-1].onnx_network._head is not None) == is_detached
    counts = []
    for text in [*TEXTS, "oxygen and blood " * 40]:
        found, expected = (encoder.encode_queries([text])[0] for encoder in encoders)
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-5)
        counts.append(len(expected))
    return counts


@pytest.mark.parametrize("settings", [{}, {"activation": "log1p_log1p_relu"}, {"mode": "lexical"}], ids=str)
def test_queries_have_the_weights_of_all_logits(exported, settings, monkeypatch):
    assert sum(assert_same_as_all_logits(exported, monkeypatch, **settings)) > 10


@pytest.mark.parametrize(
    ("scales", "bias", "terms"),
    [(10.0 ** np.arange(-20, 5), 0.0, 10), ([0.0, 1.0], -0.01, 10), ([1.0], 9.0, 1000), ([1.0], -9.0, 0)],
    ids=["sizes", "zeros", "all terms", "no terms"],
)
def test_odd_rows_have_the_weights_of_all_logits(copied, scales, bias, terms, monkeypatch):
    path = inline(copied)
    (copied / "model.safetensors").unlink()
    model = onnx.load(path)
    for each in model.graph.initializer:
        values = onnx.numpy_helper.to_array(each).copy()
        if each.name.endswith("word_embeddings.weight"):
            values *= np.resize(np.array(scales, np.float32), len(values))[:, None]
        elif each.name == "cls.predictions.bias":
            values += bias
        each.CopyFrom(onnx.numpy_helper.from_array(values, each.name))
    onnx.save(model, path)
    counts = assert_same_as_all_logits(copied, monkeypatch)
    assert sum(counts) >= terms if terms else not sum(counts)


def test_a_saved_network_refers_to_the_weights_beside_it(exported, copied):
    assert (exported / "model.onnx").stat().st_size < 100_000 < (exported / "model.safetensors").stat().st_size
    tensors = safetensors.load_file(copied / "model.safetensors")
    name = "cls.predictions.bias"
    trained = {name: tensors[name] + 0.5} | {each: tensors[each] * 1.1 for each in tensors if "LayerNorm" in each}
    safetensors.save_file(tensors | trained, copied / "model.safetensors", {"format": "pt"})
    more = assert_same_weights(copied)  # trained on, and still the same
    assert sum(map(len, more)) > sum(map(len, encode(exported, "onnx")))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["float32", "float16", "embedded"])
def test_int8_weights_are_restored_bit_by_bit_as_the_network_says(kind, tmp_path):
    folder = embedded_model_folder()
    if kind != "embedded":
        config = json.loads((distinguish(bert(tmp_path / "original")) / "config.json").read_text())
        (tmp_path / "original" / "config.json").write_text(json.dumps({**config, "dtype": kind}))
        tensors = safetensors.load_file(tmp_path / "original" / "model.safetensors")
        tensors = {name: tensor.astype(kind) for name, tensor in tensors.items()}
        safetensors.save_file(tensors, tmp_path / "original" / "model.safetensors", {"format": "pt"})
        store_in_int8(tmp_path / "original", tmp_path / "int8")
        folder = tmp_path / "int8"
        export_onnx(read_layout(folder).documents, folder)
    (path,) = folder.glob("**/*.onnx")
    model, weights = restore_weights(path.read_bytes(), path.parent)
    assert len(weights) > 5
    names = list(weights)
    whole = onnx.load(path)
    del whole.graph.output[:]
    whole.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names)
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = onnxruntime.InferenceSession(whole.SerializeToString(), options)
    tokens = {each.name: np.ones((1, 3), np.int64) for each in session.get_inputs()}
    for name, expected in zip(names, session.run(names, tokens), strict=True):
        np.testing.assert_array_equal(weights[name], expected, err_msg=name, strict=True)
    assert len(model) < len(path.read_bytes())


@pytest.mark.slow
def test_weights_that_cannot_be_told_apart_are_stored_in_the_network(tmp_path):
    path = save_with_onnx(bert(tmp_path / "untrained"), tmp_path / "saved")  # the factors of all layers are 1
    assert path.stat().st_size > 1_000_000
    assert_same_weights(tmp_path / "saved")


@pytest.mark.slow
def test_positions_after_the_padding_and_weights_in_16_bits(tmp_path, monkeypatch):
    """RoBERTa numbers positions from the padding's id; the file's numbers are restored before use."""
    folder = tmp_path / "roberta"
    folder.mkdir()
    distinguish(roberta_like(folder, byte_level_tokenizer(folder, TEXTS)))
    tensors = safetensors.load_file(folder / "model.safetensors")
    for seed, name in enumerate(each for each in tensors if each.endswith("bias")):
        tensors[name] += np.random.default_rng(seed).normal(0, 0.01, tensors[name].shape).astype(np.float32)
    safetensors.save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    tensors = safetensors.load_file(folder / "model.safetensors")
    half = {name: tensor.astype(np.float16) for name, tensor in tensors.items()}
    safetensors.save_file(half, folder / "model.safetensors", {"format": "pt"})
    save_with_onnx(folder, tmp_path / "saved")
    assert_same_weights(tmp_path / "saved")
    assert (tmp_path / "saved" / "model.onnx").stat().st_size < 100_000
    assert_same_as_all_logits(tmp_path / "saved", monkeypatch)


@pytest.mark.model
def test_the_embedded_model_has_torch_s_impacts(shared):
    """At least 9,998 of 10,000; the others are at a rounding boundary."""
    queries = (shared / "data" / "cacm" / "queries.jsonl").read_text().splitlines()
    texts = [json.loads(query)["text"] for query in queries]
    rule, vectors = Quantizer.named("naver"), {}
    for backend in ("onnx", "torch"):
        encoder = SpladeEncoder(queries=QuerySettings(backend=backend), device="cpu")
        vectors[backend] = encoder.encode_queries(texts).quantize(rule, "query")
    pairs = [
        (ours.get(term, 0), theirs.get(term, 0))
        for ours, theirs in zip(*vectors.values(), strict=True)
        for term in ours.keys() | theirs.keys()
    ]
    different = [abs(ours - theirs) for ours, theirs in pairs if ours != theirs]
    assert len(pairs) > 2000
    assert len(different) <= 1 + len(pairs) // 5000
    assert set(different) <= {1}


@pytest.mark.model
def test_the_embedded_model_needs_no_torch():
    done = run_python(
        "import sys; from splade_lucene import SpladeEncoder\n"
        "print(len(SpladeEncoder().encode_queries(['how do I list files'])[0]), {'torch', 'transformers'} & set(sys.modules))"
    )
    assert done.stdout.split()[1:] == ["set()"], done.stderr


@pytest.mark.model
@pytest.mark.parametrize("code", ["SpladeEncoder().encode_queries(['files'])", "pyserini()"])
def test_nobody_is_told_of_a_query(code, tmp_path):
    """ONNX Runtime reports its use by default, and keeps an id of the machine in the user's cache."""
    done = run_python(
        "from splade_lucene import SpladeEncoder\n"
        "def pyserini():\n"
        "    from splade_lucene.jvm.pyserini_import import pyserini_importable\n"
        "    with pyserini_importable():\n"
        "        import pyserini.search.lucene, onnxruntime\n"
        f"{code}",
        XDG_CACHE_HOME=str(tmp_path), CI=None, ORT_DISABLE_TELEMETRY=None, SPLADE_LUCENE_CLASS_DATA="off",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.rglob("deviceid"))
    assert not list(tmp_path.rglob("onnxruntime.db"))


# ---- files from elsewhere ----


def test_files_of_other_exporters_are_used_if_they_have_the_checkpoint_s_weights(copied):
    inline(copied)
    assert SpladeEncoder(copied, device="cpu").query_backend == "onnx"
    assert_same_weights(copied)


def test_files_of_other_weights_are_not_used(copied, caplog):
    inline(copied)
    tensors = safetensors.load_file(copied / "model.safetensors")
    changed = {name: tensor * np.float32(1.25) for name, tensor in tensors.items()}
    safetensors.save_file(changed, copied / "model.safetensors", {"format": "pt"})
    assert SpladeEncoder(copied, device="cpu").query_backend == "torch"
    assert "it was not exported from the weights beside it" in caplog.text
    with pytest.raises(ModelError, match=r"it was not exported from the weights in .*--onnx"):
        encode(copied, "onnx")


def test_a_file_that_refers_to_a_file_of_another_layout_is_not_used(copied):
    tensors = safetensors.load_file(copied / "model.safetensors")
    safetensors.save_file(tensors | {"added": np.ones(3, np.float32)}, copied / "model.safetensors", {"format": "pt"})
    assert SpladeEncoder(copied, device="cpu").query_backend == "torch"


def test_a_checkpoint_of_an_onnx_file_alone_needs_no_torch(copied):
    expected, documents = encode(copied, "onnx"), encode_documents(copied, "onnx")
    inline(copied, "model.onnx")
    (copied / "model.safetensors").unlink()
    encoder = SpladeEncoder(copied, device="cpu")
    assert list(encoder.encode_queries(TEXTS)) == list(expected)
    with pytest.raises(ModelError, match=r"only an ONNX file\. Use backend=onnx"):
        encoder.encode_documents(["a text"])
    assert list(encode_documents(copied, "onnx")) == list(documents)


def test_weights_that_are_pooled_in_the_network_as_in_anserini_s_files(copied):
    """Two outputs for one text: term_ids and weights."""
    expected = encode(copied, "onnx")
    path = inline(copied)
    model = onnx.load(path)
    make = onnx.helper.make_node
    model.graph.node.extend([
        make("Constant", [], ["texts_and_tokens"], value_ints=[0, 1]),
        make("Constant", [], ["one"], value_float=1.0),
        make("Constant", [], ["last"], value_ints=[-1]),
        make("ReduceMax", ["logits", "texts_and_tokens"], ["largest"], keepdims=0),
        make("Relu", ["largest"], ["positive"]),
        make("Add", ["positive", "one"], ["sum"]),
        make("Log", ["sum"], ["pooled"]),
        make("NonZero", ["pooled"], ["rows"]),
        make("Reshape", ["rows", "last"], ["output_idx"]),
        make("Gather", ["pooled", "output_idx"], ["output_weights"]),
    ])  # fmt: skip
    del model.graph.output[:]
    for name, kind in (("output_idx", onnx.TensorProto.INT64), ("output_weights", onnx.TensorProto.FLOAT)):
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, kind, [None]))
    onnx.save(model, path)
    found = encode(copied, "onnx")
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-6)
    with pytest.raises(ModelError, match="pools by max"):
        encode(copied, "onnx", pooling="sum")


def test_networks_that_are_no_language_models_are_refused(copied):
    path = inline(copied)
    model = onnx.load(path)
    model.graph.output[0].type.tensor_type.shape.dim.pop()
    model.graph.node.append(onnx.helper.make_node("ReduceMax", ["logits", "tokens"], ["text_vector"], keepdims=0))
    model.graph.node.insert(0, onnx.helper.make_node("Constant", [], ["tokens"], value_ints=[1]))
    model.graph.output[0].name = "text_vector"
    onnx.save(model, path)
    with pytest.raises(ModelError, match="expected logits of shape"):
        encode(copied, "onnx")
    path.write_bytes(b"nothing")
    (copied / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="ONNX Runtime cannot load the network"):
        encode(copied, "onnx")


# ---- the choice ----


def test_torch_is_used_where_onnx_cannot_be(copied, tmp_path):
    assert SpladeEncoder(copied, queries=QuerySettings(dtype="int8"), device="cpu").query_backend == "torch"
    assert SpladeEncoder(copied, queries=QuerySettings(mode="binary"), device="cpu").query_backend == "none"
    assert SpladeEncoder(bert(tmp_path / "bert"), device="cpu").query_backend == "torch"
    with pytest.raises(InputError, match="float32 on a CPU"):
        encode(copied, "onnx", dtype="bfloat16")
    with pytest.raises(ModelError, match=r"no ONNX file \(expected model.onnx or onnx/model.onnx\)"):
        encode(tmp_path / "bert", "onnx")
    with pytest.raises(InputError, match="unknown backend 'tensorflow'"):
        QuerySettings(backend="tensorflow")  # type: ignore[arg-type]


def test_what_cannot_be_exported_says_so(copied, tmp_path):
    with pytest.raises(InputError, match="without a network of its own"):
        save_with_onnx("splade-minilm-doc", tmp_path / "saved")
    with pytest.raises(InputError, match="ordinary weights"):
        save_with_onnx(copied, tmp_path / "saved", "float16")


@pytest.mark.model
@pytest.mark.slow
def test_the_embedded_network_is_what_the_exporter_writes(tmp_path):
    folder = tmp_path / "embedded"
    shutil.copytree(embedded_model_folder(), folder)
    path = export_onnx(read_layout(folder).documents, folder)
    shipped, written = (
        onnx.load(each, load_external_data=False) for each in (embedded_model_folder() / path.name, path)
    )
    assert [node.op_type for node in written.graph.node] == [node.op_type for node in shipped.graph.node]
    assert {each.name for each in written.graph.initializer} == {each.name for each in shipped.graph.initializer}


# ---- documents ----


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"pooling": "sum"},
        {"activation": "log1p_log1p_relu"},
        {"drop_specials": True},
        {"passage_tokens": 12, "passage_overlap": 3, "prefix": "text: "},
    ],
    ids=str,
)
def test_documents_have_the_weights_of_torch(exported, settings):
    found, expected = (encode_documents(exported, backend, **settings) for backend in ("onnx", "torch"))
    assert list(found.terms) == list(expected.terms)
    assert sum(map(len, expected)) > 100
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-5)


def test_the_head_computes_only_some_logits_in_float32(exported):
    encoder = SpladeEncoder(exported, backend="onnx", device="cpu", batch_tokens=4096)
    assert encoder.batch_tokens == 4096
    assert encoder.dtype == "float32"
    assert (
        SpladeEncoder(exported, DocumentSettings(pooling="sum"), backend="onnx", batch_tokens=4096).batch_tokens == 256
    )


@pytest.mark.parametrize("seed", range(6))
def test_the_head_misses_no_term(seed):
    random = np.random.default_rng(seed)
    hidden = random.normal(0, 10.0 ** random.integers(-3, 4), (3, 7, 48)).astype(np.float32)
    hidden[..., 0] *= 50 if seed % 2 else 1  # an outlier coarsens all other numbers of a text
    mask = random.random((3, 7)) < 0.6
    mask[:, 2] = True
    weight = random.normal(size=(48, 5000)).astype(np.float32)
    size = np.linalg.norm(hidden, axis=2).max()
    bias = (size * random.uniform(-5, 1, 5000)).astype(np.float32)
    logits = hidden.astype(np.float64) @ weight + bias
    expected = np.where(mask[:, :, None], logits, 0).max(axis=1)
    found = np.zeros(expected.shape)
    rows, term_ids, values = OnnxHead(weight.T, bias).pool(hidden, mask)
    found[rows, term_ids] = values
    assert 100 < len(rows) < expected.size / 2
    assert np.abs(found - expected.clip(min=0)).max() < 1e-5 * size


def test_the_head_screens_only_texts_with_few_terms(monkeypatch):
    random = np.random.default_rng(0)
    weight = random.normal(size=(48, 5000)).astype(np.float32)
    weight[0] = 1
    hidden = (0.1 * random.normal(size=(3, 14, 48))).astype(np.float32)
    hidden[:, :, 0] = np.array([-4, 9, -4])[:, None]
    hidden[0, 1, 1:] *= 3
    mask = np.ones((3, 14), np.bool_)
    mask[1, 3] = False
    head = OnnxHead(weight.T)
    screened = []
    bounds_of = head._bounds.of
    monkeypatch.setattr(head._bounds, "of", lambda hidden: screened.append(len(hidden)) or bounds_of(hidden))
    rows, term_ids, values = head.pool(hidden, mask)
    assert screened == [2]
    found = np.zeros((3, 5000))
    found[rows, term_ids] = values
    expected = np.where(mask[:, :, None], hidden.astype(np.float64) @ weight, 0).max(axis=1).clip(min=0)
    assert np.abs(found - expected).max() < 1e-4
    assert [*np.count_nonzero(found, axis=1)] == [*np.count_nonzero(expected, axis=1)]
    assert np.count_nonzero(found[1]) == 5000
    assert 0 < np.count_nonzero(found[0]) < 5000 / 8


@pytest.mark.parametrize("tokens", [1, 9])
def test_the_head_screens_a_query_without_a_sample(tokens, monkeypatch):
    random = np.random.default_rng(tokens)
    weight = random.normal(size=(5000, 48)).astype(np.float32)
    weight[:, 0] = 1
    head, all_bounds = OnnxHead(weight), []
    bounds_of = head._bounds.of
    monkeypatch.setattr(head, "_sample", None)
    monkeypatch.setattr(head._bounds, "of", lambda hidden: all_bounds.append(bounds_of(hidden)) or all_bounds[-1])
    for mean, fewest, most in ((-4, 1, 5000 // 8), (9, 5000, 5000)):
        hidden = (0.1 * random.normal(size=(1, tokens, 48))).astype(np.float32)
        hidden[:, 0, 1:] *= 3
        hidden[:, :, 0] = mean
        _, term_ids, values = head.pool(hidden, np.ones((1, tokens), np.bool_))
        expected = (hidden[0].astype(np.float64) @ weight.T).max(axis=0)
        assert np.array_equal(term_ids, np.flatnonzero(expected > 0))
        assert np.abs(values - expected[term_ids]).max() < 1e-5 * np.abs(expected).max()
        assert fewest <= len(term_ids) <= np.count_nonzero(all_bounds[-1] > 0) <= most


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("pooling", ["max", "sum"])
def test_weights_that_are_not_finite_are_refused_without_a_warning_of_numpy(copied, bad, pooling):
    path = inline(copied)
    model = onnx.load(path)
    (positions,) = (each for each in model.graph.initializer if each.name.endswith("position_embeddings.weight"))
    values = onnx.numpy_helper.to_array(positions).copy()
    values[9] = bad  # behind the end of the probe
    positions.CopyFrom(onnx.numpy_helper.from_array(values, positions.name))
    onnx.save(model, path)
    encoder = SpladeEncoder(copied, DocumentSettings(pooling=pooling), backend="onnx", device="cpu")
    assert any(encoder.encode_documents(["blood"]))
    with pytest.raises(ModelError, match="the network's output is not finite for one of the texts"):
        encoder.encode_documents(["the heart " * 6])


def test_a_last_layer_that_is_no_plain_product_is_kept(copied, caplog):
    expected = encode_documents(copied, "onnx")
    path = inline(copied)
    model = onnx.load(path)
    model.graph.node[-1].output[0] = "product"
    model.graph.node.append(onnx.helper.make_node("Abs", ["product"], ["absolute"]))
    model.graph.node.append(onnx.helper.make_node("Sub", ["absolute", "product"], ["twice"]))
    model.graph.node.append(onnx.helper.make_node("Sub", ["absolute", "twice"], ["logits"]))
    onnx.save(model, path)
    for ours, theirs in zip(encode_documents(copied, "onnx"), expected, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5)
    assert "its last layer is not a plain matrix product" in caplog.text


def test_networks_are_taken_apart_without_the_package_onnx(copied):
    content = inline(copied).read_bytes()
    body, decoder = detach_decoder(content)
    taken = onnx.load_model_from_string(body)
    onnx.checker.check_model(taken)
    assert [each.name for each in taken.graph.output] == decoder.outputs
    whole = onnx.load_model_from_string(content)
    assert list(taken.graph.initializer) == list(whole.graph.initializer)
    assert list(taken.graph.node) == list(whole.graph.node)[:-2]
    assert list(taken.graph.input) == list(whole.graph.input)
    for damaged in (content[:-7], b"\xff" * 40, b"\x3a\xff\x01"):
        with pytest.raises(ValueError, match="the file ends within|unknown type"):
            detach_decoder(damaged)
    built = build_model(
        [build_node("ReduceMax", ["x", "axes"], "y", keepdims=0)],
        {"axes": np.array([1])},
        {"x": (np.int32, 2)},
        {"y": (np.int32, 1)},
    )
    onnx.checker.check_model(onnx.load_model_from_string(built))
    assert detach_decoder(built) is None


@pytest.mark.parametrize(
    ("made_by", "is_plain"),
    [
        ([("Transpose", ["matrix"])], True),
        ([("Identity", ["matrix"]), ("Transpose", ["weight0"])], True),
        ([("Identity", ["turned"])], True),
        ([("Mul", ["turned", "x"])], False),
        ([("ReduceMax", ["x"]), ("Mul", ["turned", "weight0"])], False),
    ],
    ids=str,
)
def test_a_last_layer_is_one_with_a_constant_matrix(made_by, is_plain):
    matrix = np.arange(20, dtype=np.float32).reshape(5, 4)
    names = [*(f"weight{i}" for i in range(len(made_by) - 1)), "weight"]
    model = build_model(
        [
            *(build_node(each, inputs, name) for (each, inputs), name in zip(made_by, names, strict=True)),
            build_node("Relu", ["x"], "hidden"), build_node("MatMul", ["hidden", "weight"], "y"),
        ],
        {"matrix": matrix, "turned": matrix.T}, {"x": (np.float32, 3)}, {"y": (np.float32, 3)},
    )  # fmt: skip
    found = detach_decoder(model)
    assert (found is not None) == is_plain
    if found is not None:
        x = np.full((1, 2, 4), -1, np.float32)
        hidden, rows = open_session(found[0]).run(found[1].outputs, {"x": x})
        assert np.array_equal(rows, matrix)
        assert not hidden.any()


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "PART_DOCUMENTS", 10)
    path = tmp_path / "corpus.tsv"
    path.write_text("".join(f"d{i}\t{text}\n" for i, text in enumerate(DOCUMENTS)))
    return path


def test_an_encoding_names_its_backend_and_resumes_with_it(exported, corpus, tmp_path):
    rule = Quantizer.named("naver")
    encoder = SpladeEncoder(exported, backend="onnx", device="cpu")
    manifest = encode_corpus(corpus, tmp_path / "whole", encoder, rule)
    assert (manifest.backend, manifest.dtype, manifest.encoded_with["backend"]) == ("onnx", "float32", "onnx")
    assert {"onnxruntime", "tokenizers"} < manifest.versions.keys()
    with pytest.raises(InputError, match="backend"):
        encode_corpus(corpus, tmp_path / "whole", SpladeEncoder(exported, backend="torch", dtype="float32"), rule)
    resumed = SpladeEncoder(exported, device="cpu")  # auto: as it was begun
    assert encode_corpus(corpus, tmp_path / "whole", resumed, rule) == manifest
    with pytest.raises(InputError, match="backend=onnx computes on one CPU"):
        encode_corpus(corpus, tmp_path / "devices", encoder, rule, devices=["cpu", "cpu"])


def test_an_encoding_by_onnx_runtime_is_replaced_by_one_in_bfloat16(exported, corpus, tmp_path):
    rule = Quantizer.named("naver")
    encode_corpus(corpus, tmp_path / "out", SpladeEncoder(exported, device="cpu", backend="onnx"), rule)
    with pytest.raises(InputError, match='backend was "onnx", is "torch"'):
        encode_corpus(corpus, tmp_path / "out", SpladeEncoder(exported, device="cpu", dtype="bfloat16"), rule)
    encoder = SpladeEncoder(exported, device="cpu", dtype="bfloat16")
    manifest = encode_corpus(corpus, tmp_path / "out", encoder, rule, overwrite=True)
    assert (manifest.backend, manifest.dtype) == ("torch", "bfloat16")


def test_an_interrupted_encoding_has_the_bytes_of_a_whole_one(exported, corpus, tmp_path):
    rule, encoder = Quantizer.named("naver"), SpladeEncoder(exported, backend="onnx", device="cpu")
    encode_corpus(corpus, tmp_path / "whole", encoder, rule)

    def interrupt(_count):
        if sum(count for count, _, _ in progress.reports) >= 20:
            raise KeyboardInterrupt

    progress = RecordedProgress(interrupt)
    with pytest.raises(KeyboardInterrupt):
        encode_corpus(corpus, tmp_path / "resumed", encoder, rule, progress=progress)
    encode_corpus(corpus, tmp_path / "resumed", SpladeEncoder(exported, device="cpu"), rule)
    names = sorted(path.name for path in (tmp_path / "whole").glob("part-*"))
    assert len(names) == 4
    for name in names:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "resumed" / name).read_bytes()


def test_without_torch_documents_are_encoded_by_onnx_runtime(exported, corpus, tmp_path):
    done = run_python(
        "import sys\n"
        "sys.modules.update(torch=None, transformers=None)\n"
        "from splade_lucene import DocumentSettings, Pruning, Quantizer, SpladeEncoder, encode_corpus\n"
        f"encoder = SpladeEncoder({str(exported)!r})\n"
        f"encode_corpus({str(corpus)!r}, {str(tmp_path / 'out')!r}, encoder, Quantizer.named('naver'),"
        " pruning=Pruning(top_terms=9, kept_mass=0.9, max_ratio=0.1))"
    )
    assert done.returncode == 0, done.stderr
    manifest = read_folder_manifest(tmp_path / "out")
    assert (manifest.backend, manifest.documents + len(manifest.empty)) == ("onnx", len(DOCUMENTS))


def test_the_command_says_what_computed(exported, corpus, tmp_path):
    command = ("encode", "--corpus", corpus, "--model", exported, "--quantizer", "naver", "--output", tmp_path / "out")
    assert "computed in float32 by ONNX Runtime" in run(*command, "--backend", "onnx").stderr
    refused = run(*command, "--backend", "onnx", "--dtype", "bfloat16", "--overwrite")
    assert "--backend onnx computes in float32 on a CPU" in refused.stderr


@pytest.mark.model
@pytest.mark.slow
def test_documents_of_the_embedded_model_have_torch_s_impacts(shared):
    """At least 9,998 of 10,000; the others are at a rounding boundary."""
    lines = (shared / "data" / "cacm" / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines][::12]
    rule, vectors = Quantizer.named("naver"), []
    for backend in ("onnx", "torch"):
        encoder = SpladeEncoder(
            documents=DocumentSettings(max_length=64), device="cpu", dtype="float32", backend=backend
        )
        vectors.append(encoder.encode_impacts(encoder.tokenize_documents(texts), rule))
    pairs = [
        (ours.get(term, 0), theirs.get(term, 0))
        for ours, theirs in zip(*vectors, strict=True)
        for term in ours.keys() | theirs.keys()
    ]
    different = {abs(ours - theirs) for ours, theirs in pairs if ours != theirs}
    assert len(pairs) > 3000
    assert sum(ours != theirs for ours, theirs in pairs) <= 1 + len(pairs) // 5000
    assert different <= {1}
