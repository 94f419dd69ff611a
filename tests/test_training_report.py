"""What a training run reports before it starts: the data of its configuration, and the page that describes them."""

import json
import shutil

import pytest
import torch
from support import commands
from support.commands import check_well
from support.training import write_config
from transformers import AutoTokenizer, BertConfig, BertModel

from splade_lucene.errors import ConfigError, ExamplesError, ModelError, StorageError
from splade_lucene.training import TrainingDataReport, describe_run_data, read_config
from splade_lucene.training.data_report import Spread
from splade_lucene.training.recipes import RECIPES
from splade_lucene.training.run_page import describe_plan
from splade_lucene.training.training_data import TrainingData

pytest_plugins = ("support.training",)


def write_lines(path, records):
    path.write_text("".join(json.dumps(each) + "\n" for each in records))
    return str(path)


def data_of(folder, files, recipe="distilsplade-max", **changes):
    config = read_config(write_config(folder, files, "some/base", recipe=recipe, **changes))
    losses = config.losses or RECIPES[config.recipe].losses
    return TrainingData(config, losses, config.mining.positives or RECIPES[config.recipe].positives)


def triples(folder):
    return write_lines(
        folder / "triples.jsonl",
        ({"qid": f"q{i}", "positive_id": f"d{i}", "negative_id": f"d{(i + 3) % 40}"} for i in range(40)),
    )


# ---- scores that are not there ----


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ("".join(f"q{i} Q0 d{(i + 3) % 40} 1 -5.0 t\n" for i in range(40)), "40 of 40 examples lack .* 40 have passages without"),
        ("q0 Q0 d0 1 9.0 t\nq0 Q0 d3 2 -5.0 t\n", "39 of 40 examples lack .* 39 have passages without"),
        ("".join(f"q{i} Q0 d{i} 1 9 t\nq{i} Q0 d{(i + 3) % 40} 2 9 t\n" for i in range(40)), ".* 40 have no two passages of different"),
    ],
)  # fmt: skip
def test_a_teachers_file_that_lacks_listed_passages_is_refused(tmp_path, data, run, message):
    (tmp_path / "teacher.trec").write_text(run)
    settings = {"teacher": {"bm25": 0.0, "scores": str(tmp_path / "teacher.trec")}}
    given = data_of(tmp_path, data, **settings, data={"examples": triples(tmp_path)})
    with pytest.raises(ExamplesError, match=rf"triples\.jsonl:\d+: {message}"):
        given.check()


def test_a_teachers_file_that_says_nothing_of_a_query_is_refused_before_mining(tmp_path, data):
    (tmp_path / "teacher.trec").write_text(
        "".join(f"q{i} Q0 d{i} 1 9.0 t\n" for i in range(1, 40)) + "q0 Q0 nope 1 9.0 t\n"
    )
    teacher = {"bm25": 0.0, "scores": str(tmp_path / "teacher.trec")}
    settings = {"teacher": teacher, "optimization": {"steps": 10, "queries": 4}}
    message = r"teacher\.trec: 1 of 40 queries has no scored passage .* first one: 'q0'\. Add the scores, .* drop"
    with pytest.raises(ExamplesError, match=message):
        data_of(tmp_path, data, **settings).check()
    data_of(tmp_path, data, **settings, data={"missing_scores": "drop"}).check()
    data_of(tmp_path, data, **{**settings, "teacher": {**teacher, "bm25": 1.0}}).check()


def test_or_the_examples_are_dropped_and_counted(tmp_path, data, caplog):
    (tmp_path / "teacher.trec").write_text("q0 Q0 d0 1 9.0 t\nq0 Q0 d3 2 -5.0 t\nq1 Q0 d1 1 3 t\n")
    teacher = {"bm25": 0.0, "scores": str(tmp_path / "teacher.trec")}
    settings = {"examples": triples(tmp_path), "missing_scores": "drop"}
    given = data_of(tmp_path, data, teacher=teacher, data=settings)
    given.check()
    assert [(each.query, each.passages.tolist(), each.scores) for each in given.examples] == [(0, [0, 3], None)]
    assert given.dropped.counts == {
        "passages without a score": 77, "examples without two passages of different scores": 39,
    }  # fmt: skip
    assert any(
        "triples.jsonl: skipped passages without a score: 77 (the first on line 2)" in each for each in caplog.messages
    )
    contrastive = data_of(tmp_path, data, recipe="splade-max", teacher=teacher, data=settings)
    assert len(contrastive.examples) == 40  # no loss needs the scores
    with_bm25 = data_of(tmp_path, data, teacher={**teacher, "bm25": 1.0}, data=settings)
    assert len(with_bm25.examples) == 1  # the sum has no value without one of its parts


def test_scores_beside_the_examples_are_theirs(tmp_path, data):
    scores = {f"q{i}": {f"d{i}": 4.5, f"d{(i + 3) % 40}": 1.0} for i in range(39)}
    (tmp_path / "scores.json").write_text(json.dumps(scores))
    settings = {"examples": triples(tmp_path), "scores": str(tmp_path / "scores.json")}
    with pytest.raises(ExamplesError, match=r"triples\.jsonl:40: 1 of 40 examples lack a teacher's scores"):
        data_of(tmp_path, data, teacher=None, data=settings).check()
    given = data_of(tmp_path, data, teacher=None, data={**settings, "missing_scores": "drop"})
    given.check()
    assert [each.scores.tolist() for each in given.examples if each.scores is not None] == [[4.5, 1]] * 39
    assert given.temperature == pytest.approx(3.5 / 20)
    with pytest.raises(ConfigError, match=r"set data\.scores or a teacher, not both"):
        data_of(tmp_path, data, data=settings)


def test_scores_and_temperatures_that_no_loss_can_compute_with_are_refused_with_their_line(tmp_path, data):
    records = [{"qid": f"q{i}", "docids": ["d0", "d1"], "scores": [2.0, 1.0]} for i in range(4)]
    records[2]["scores"] = [3e38, 1.0]
    wide = {"teacher": None, "data": {"examples": write_lines(tmp_path / "wide.jsonl", records), "temperature": 1.0}}
    with pytest.raises(
        ExamplesError, match=r"wide\.jsonl:3: the scores differ by 3e\+38, which is 3e\+38 temperatures of 1\. "
    ):
        data_of(tmp_path, data, **wide).check()
    data_of(tmp_path, data, recipe="splade-max", **wide).examples  # noqa: B018 - their order is enough
    for changes, message in (
        ({"data": {"temperature": 1e-30, "examples": "x"}, "teacher": None}, r"data\.temperature \(line \d+\): .* 0\.000001"),
        ({"teacher": {"bm25": 1.0, "temperature": 1e-30}}, r"teacher\.temperature \(line \d+\): .*0\.000001"),
        ({"teacher": {"bm25": 1e30}}, r"teacher \(line \d+\): scores of up to 1e\+30 are 2e\+31 temperatures"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=message):
            read_config(write_config(tmp_path, data, "some/base", **changes))


def test_judgments_beside_the_examples_belong_to_their_queries(tmp_path, data):
    settings = {"examples": triples(tmp_path), "judgments": str(tmp_path / "judged.txt")}
    (tmp_path / "judged.txt").write_text("q0 0 d3 1\n")
    given = data_of(tmp_path, data, recipe="splade-max", teacher=None, data=settings)
    given.check()
    known = given.known_positives(given.examples)
    assert known.of(0).tolist() == given.texts.identities([0, 3]).tolist()
    assert known.of(1).tolist() == given.texts.identities([1]).tolist()
    (tmp_path / "judged.txt").write_text("q0 0 d0 0\nq0 0 x3 1\n")
    with pytest.raises(ConfigError, match=r"judged\.txt: none of the documents that are judged relevant is in"):
        data_of(tmp_path, data, recipe="splade-max", teacher=None, data=settings).check()
    (tmp_path / "judged.txt").write_text("x0 0 d3 1\n")
    with pytest.raises(ConfigError, match=r"judged\.txt: none of the judged queries is in data\.queries"):
        data_of(tmp_path, data, recipe="splade-max", teacher=None, data=settings).check()


@pytest.mark.parametrize(
    ("settings", "expected"), [({"mask_known_positives": True}, True), ({"mask_known_positives": False}, False)]
)
def test_known_positives_are_masked_unless_the_plain_loss_is_wanted(tmp_path, data, settings, expected):
    assert data_of(tmp_path, data, recipe="splade-max", data=settings).masks_positives is expected
    assert data_of(tmp_path, data, data=settings).masks_positives is None


# ---- the page ----


def lists(folder):
    """Three passages a query; one of eight lists has a negative with the better score."""
    scores = [[2.0, 3.0, -1.0] if i % 8 == 0 else [3.0, 2.5, -1.0] for i in range(40)]
    return write_lines(
        folder / "lists.jsonl",
        (
            {"query_id": f"q{i}", "doc_ids": [f"d{i}", f"d{(i + 8) % 40}", f"d{(i + 3) % 40}"], "labels": [1, 0, 0], "scores": scores[i]}
            for i in range(40)
        ),
    )  # fmt: skip


def test_the_page_says_what_the_data_are(tmp_path, data, base):
    (tmp_path / "judged.txt").write_text("q1 0 d9 1\nq1 0 d4 1\n")
    settings = {"examples": lists(tmp_path), "judgments": str(tmp_path / "judged.txt")}
    config = write_config(
        tmp_path, data, base, recipe="distilsplade-max", teacher=None, data=settings,
        losses={"contrastive": 1.0, "margin_mse": 1.0},
        optimization={"steps": 10, "queries": 8, "max_length": 8, "query_max_length": 32},
    )  # fmt: skip
    report = describe_run_data(read_config(config), device="cpu")
    assert not (tmp_path / "out").exists()
    assert (report.queries, report.passages, report.examples, report.scored) == (40, 40, 40, 40)
    assert report.negatives == Spread(2, 2, 2)
    # two margins a query: -1 and 3 for each eighth, 0.5 and 4 for the others
    assert report.margins == Spread(-1, 1.75, 4)
    assert report.below_zero == pytest.approx(1 / 16)
    assert report.without_score == 0
    assert (report.cut_passages, report.cut_queries) == (1, 0)
    assert report.listed_positives == 2
    assert report.batches == 10
    assert report.batches_with_positives > 0
    assert report.is_masked is True
    assert report.seconds is not None
    assert report.seconds > 0
    assert report.memory is not None
    assert report.memory > 1e7
    page = report.markdown()
    assert (
        "| margins | -1 to 4, median 1.75: the score of the passage taken for relevant less that of another one; 6.2% are below 0 |"
        in page
    )
    assert report.temperature == pytest.approx(4 / 20)  # a twentieth of the lists' range
    assert "| temperature | 0.2, by which the losses divide scores |" in page
    assert "| steps | 10 of 8 queries with 3 passages each; each example is drawn 2 times |" in page
    assert "100.0% of the passages (8 tokens)" in page
    assert "2 among the listed negatives" in page
    report.write(tmp_path / "data.json")
    assert TrainingDataReport.read(tmp_path / "data.json") == report
    (tmp_path / "data.json").write_text('{"queries": 1}')
    with pytest.raises(StorageError, match=r"data\.json: damaged"):
        TrainingDataReport.read(tmp_path / "data.json")


def test_margins_of_a_query_in_several_records_are_those_of_each_record(tmp_path, data, base):
    """Published sets of margins have many negatives for a query, and some queries have several positives."""
    records = [
        {"query": f"question {i}", "positive": f"answer {i} {i + j // 3}", "negative": f"other {i + j % 3}", "margin": 1.0 + j}
        for i in range(4) for j in range(6)
    ]  # fmt: skip
    settings = {"passages": None, "queries": None, "examples": write_lines(tmp_path / "triples.jsonl", records)}
    config = write_config(
        tmp_path, data, base, teacher=None, losses={"margin_mse": 1.0}, recipe="distilsplade-max", data=settings,
        optimization={"steps": 6, "queries": 4, "passages": 2},
    )  # fmt: skip
    report = describe_run_data(read_config(config), device="cpu")
    assert report.margins == Spread(1.0, 3.5, 6.0)
    assert report.disputed == 4
    assert (
        "| different scores | the examples of 4 queries give a passage different scores; each counts"
        in report.markdown()
    )


def test_passages_from_outside_the_lists_have_no_margin(tmp_path, data, base):
    config = write_config(
        tmp_path, data, base, teacher=None, losses={"margin_mse": 1.0}, recipe="distilsplade-max",
        data={"examples": lists(tmp_path)}, optimization={"steps": 5, "queries": 8, "passages": 5},
    )  # fmt: skip
    report = describe_run_data(read_config(config), device="cpu")
    assert report.without_score == 0.5  # two of four
    assert report.is_masked is None
    assert (
        "| without a margin | 50.0% of the passages that are drawn beside the one taken for relevant |"
        in report.markdown()
    )


def test_what_is_dropped_is_on_the_page_and_mined_examples_come_later(tmp_path, data, base):
    records = [{"query": "what", "positive": "blood", "negative": "Blood "}, {"query": "which", "positive": "", "negative": "x"},
               {"query": "who", "positive": "river", "negative": "heart"}]  # fmt: skip
    settings = {"passages": None, "queries": None, "examples": write_lines(tmp_path / "e.jsonl", records)}
    optimization = {"passages": 2, "queries": 2}
    config = write_config(tmp_path, data, base, teacher=None, data=settings, optimization=optimization)
    report = describe_run_data(read_config(config), device="cpu")
    assert report.dropped == {
        "negatives that are their query's positive": 1, "blank passages": 1, "examples without a relevant passage": 1,
    }  # fmt: skip
    assert "blank passages: 1" in report.markdown()
    doc = write_config(tmp_path, data, base, recipe="splade-doc")
    mined = describe_run_data(read_config(doc), device="cpu")
    assert (mined.examples, mined.query_limit) == (0, None)
    assert "| examples | mined when the training starts |" in mined.markdown()


def test_validation_queries_that_are_trained_on_are_counted(tmp_path, data, base):
    (tmp_path / "topics.tsv").write_text("q1\twhat is blood?\nnew\ta question of its own\nq3\tnever judged\n")
    (tmp_path / "qrels.txt").write_text("q1 0 d1 1\nnew 0 d2 1\n")
    (tmp_path / "examples.jsonl").write_text('{"query": " What is  blood?", "positive": "a", "negative": "b"}\n')
    validation = {
        "corpus": str(data / "corpus.jsonl"), "topics": str(tmp_path / "topics.tsv"), "qrels": str(tmp_path / "qrels.txt"),
    }  # fmt: skip
    settings = {"passages": None, "queries": None, "examples": str(tmp_path / "examples.jsonl")}
    optimization = {"passages": 2, "queries": 1}
    config = write_config(
        tmp_path, data, base, teacher=None, data=settings, validation=validation, optimization=optimization
    )
    report = describe_run_data(read_config(config), device="cpu")
    assert report.facts()["validation queries"] == "2 different texts, 1 of them also trained on"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"recipe": "distilsplade-max", "rounds": 2, "teacher": {"dense": "org/dense", "bm25": 0.5},
             "sparsity": {"query_terms": 30}},
            {"model": "distilsplade-max, from {base}, in 2 rounds",
             "losses and their weights": "margin_mse 0.05, in_batch_kl 1, FLOPS of queries 0.03 (adapted to 30 terms), FLOPS of documents 0.003",
             "files": "passages: corpus.jsonl, queries: queries.tsv", "teacher": "1 · org/dense + 0.5 · BM25",
             "dropout": "0.1, the base's own",
             "model that is kept": "the last step's"},
        ),
        (
            {"recipe": "splade-doc", "sparsity": {"document_weight": 0.01}, "keep": "all", "optimization": {"dropout": 0.0},
             "validation": {"corpus": "corpus.jsonl", "topics": "t.tsv", "qrels": "q.txt", "every": 200}},
            {"model": "splade-doc, from {base}", "losses and their weights": "contrastive 1, FLOPS of documents 0.01", "teacher": "1 · BM25",
             "files": "passages: corpus.jsonl, queries: queries.tsv",
             "validation": "corpus.jsonl, t.tsv, q.txt; every 200 steps", "dropout": "0",
             "model that is kept": "the one validated with the highest nDCG@10; the others are kept, too"},
        ),
    ],
)  # fmt: skip
def test_the_page_begins_with_what_the_run_does(tmp_path, data, base, changes, expected):
    plan = describe_plan(read_config(write_config(tmp_path, data, base, **changes)))
    assert plan == {**expected, "model": expected["model"].format(base=base.name)}


def test_the_command_prints_the_page_and_writes_nothing(tmp_path, data, base):
    config = write_config(tmp_path, data, base, teacher=None, data={"examples": str(data / "qrels.txt")})
    printed = check_well(commands.run("train", config, "--device", "cpu", "--dry-run"))
    assert "known positives" in printed
    assert "splade-max, from base" in printed
    assert "examples: qrels.txt, passages: corpus.jsonl" in printed
    assert "expected time" in printed
    facts = json.loads(check_well(commands.run("train", config, "--device", "cpu", "--dry-run", "--json")))
    assert facts["examples"] == 40
    assert not (tmp_path / "out").exists()


@pytest.mark.model
def test_a_base_whose_weights_are_stored_in_int8_is_described(tmp_path, data):
    config = write_config(tmp_path, data, "splade-minilm", teacher=None, data={"examples": str(data / "qrels.txt")})
    report = describe_run_data(read_config(config), device="cpu")
    assert report.seconds is not None
    assert not (tmp_path / "out").exists()


# ---- the base ----


def test_the_page_names_the_steps_that_a_base_without_a_head_needs_first(tmp_path, data, base):
    (tmp_path / "trunk").mkdir()
    size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 48}
    BertModel(BertConfig(vocab_size=30522, max_position_embeddings=64, **size)).save_pretrained(tmp_path / "trunk")
    AutoTokenizer.from_pretrained(base).save_pretrained(tmp_path / "trunk")
    for name, expected in (
        (tmp_path / "trunk", "teachers, validation, and the 250 steps of masked-language modelling that the base needs first"),
        (base, "teachers and validation"),
    ):  # fmt: skip
        config = write_config(tmp_path, data, name, teacher=None, data={"examples": triples(tmp_path)})
        facts = describe_run_data(read_config(config), device="cpu").facts()
        assert facts["expected time"].partition(", without ")[2] == expected


def test_an_adapter_as_base_is_refused_with_the_call_that_merges_it(tmp_path, data, base):
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(
        json.dumps({"base_model_name_or_path": str(base), "peft_type": "LORA"})
    )
    shutil.copy(base / "model.safetensors", adapter / "adapter_model.safetensors")
    with pytest.raises(ModelError, match=r"a LoRA adapter for .*merge_and_unload\(\)\.save_pretrained\(FOLDER\)"):
        describe_run_data(read_config(write_config(tmp_path, data, adapter)), device="cpu")


def test_the_merging_call_gives_a_base(tmp_path, data, base):
    peft = pytest.importorskip("peft")
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    torch.manual_seed(1)
    model = AutoModelForMaskedLM.from_pretrained(base)
    settings = peft.LoraConfig(target_modules=["query", "value"], r=2, init_lora_weights=False)
    peft.get_peft_model(model, settings).save_pretrained(tmp_path / "adapter")
    merged = peft.PeftModel.from_pretrained(AutoModelForMaskedLM.from_pretrained(base), str(tmp_path / "adapter"))
    merged.merge_and_unload().save_pretrained(tmp_path / "merged")
    AutoTokenizer.from_pretrained(base).save_pretrained(tmp_path / "merged")
    report = describe_run_data(read_config(write_config(tmp_path, data, tmp_path / "merged")), device="cpu")
    assert report.queries == 40
