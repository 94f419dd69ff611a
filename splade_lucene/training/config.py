"""What a training run is: one YAML file, checked as a whole before anything is loaded.

    recipe: distilsplade-max
    base: sentence-transformers/all-MiniLM-L6-v2
    output: models/mine
    data:
      passages: passages.jsonl.gz
      queries: queries.jsonl.gz
    teacher:
      dense: sentence-transformers/all-MiniLM-L6-v2
      bm25: 1.0

Paths are relative to the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from splade_lucene.corpus.reading import PYTHON_DOCS
from splade_lucene.defaults import QUICK_MEASURES
from splade_lucene.errors import ConfigError

Fraction = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _is_no_truth_value(cls, value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError(f"expected a number, a text or a section, got {str(value).lower()}")
        return value


def _absolute(value: str | None, info: ValidationInfo) -> str | None:
    """A path below the file's folder, if such a file is there; else the value: a hub name, a data set, ``python-docs``."""
    folder = (info.context or {}).get("folder")
    if value is None or folder is None or value == PYTHON_DOCS:
        return value
    path = Path(folder) / Path(value).expanduser()
    return str(path) if path.exists() else value


class Data(_Section):
    """What is learned from.

    Attributes:
        passages: A corpus, in any form that ``encode --corpus`` takes. May be left out where examples hold their texts.
        queries: Queries, in any form that ``search --topics`` takes. May be left out where examples hold their texts.
        examples: Pairs, triples, scored lists or judgments (see :mod:`splade_lucene.training.examples`). Without it,
            examples are mined: each query's candidates from BM25, a dense encoder and SPLADE, in the teacher's order. If
            they have scores, these are what is distilled, and no teacher may be named beside them.
        temperature: What the examples' scores are divided by, in all losses: their unit. 1 fits a cross-encoder's logits, 0.05
            cosines. None: a twentieth of the range from a list's best to its worst, in the mean.
    """

    passages: str | None = None
    queries: str | None = None
    examples: str | None = None
    temperature: Annotated[float, Field(gt=0)] | None = None

    _paths = field_validator("passages", "queries", "examples")(_absolute)


class Teacher(_Section):
    """What scores passages for queries. Several are added, each as it is weighted.

    Attributes:
        dense: A dense encoder (sentence-transformers): folder or name. Its cosine counts ``dense_weight`` times.
        dense_weight: How much.
        bm25: How much BM25 counts, divided by each query's best score; 0: not at all.
        cross_encoder: A cross-encoder (sentence-transformers): folder or name. It scores the mined candidates; its scores
            are scaled to 0 … 1 for each query and count ``cross_encoder_weight`` times.
        cross_encoder_weight: How much.
        scores: A run file in TREC's format with the scores of any teacher, scaled in the same way; counts ``scores_weight``
            times.
        scores_weight: How much.
        max_length: Tokens that an encoder reads.
        temperature: What scores are divided by, in all losses. It is their unit: with 0.05, a cosine that is higher by 0.05
            makes a passage e times as likely.
    """

    dense: str | None = None
    dense_weight: Amount = 1.0
    bm25: Amount = 0.0
    cross_encoder: str | None = None
    cross_encoder_weight: Amount = 1.0
    scores: str | None = None
    scores_weight: Amount = 1.0
    max_length: PositiveInt = 128
    temperature: Annotated[float, Field(gt=0)] = 0.05

    _paths = field_validator("dense", "cross_encoder", "scores")(_absolute)

    @model_validator(mode="after")
    def _is_there(self) -> Teacher:
        if not (self.dense or self.bm25 or self.cross_encoder or self.scores):
            raise ValueError("name a teacher: dense, bm25, cross_encoder or scores")
        return self


class Mining(_Section):
    """Where the candidates of a query come from, how many of each.

    Attributes:
        bm25: Candidates from BM25.
        dense: From the dense teacher; 0 where there is none.
        splade: From a SPLADE index.
        index: Such an index, made by this package from the same passages; in the second round that of the first model.
        positives: Best candidates, by the teacher, one of which is the first passage of an example; None: the recipe's.
        depth: Candidates that are kept for each query.
    """

    bm25: Annotated[int, Field(ge=0)] = 50
    dense: Annotated[int, Field(ge=0)] = 50
    splade: Annotated[int, Field(ge=0)] = 50
    index: str | None = None
    positives: PositiveInt | None = None
    depth: PositiveInt = 100

    _paths = field_validator("index")(_absolute)


class Losses(_Section):
    """How much each loss counts; 0: it is not computed.

    Attributes:
        contrastive: In-batch negatives (arXiv 2109.10086, eq. 3): cross-entropy over all passages of a batch.
        margin_mse: MarginMSE (arXiv 2010.02666) over a query's own passages.
        kl: Kullback-Leibler divergence from the teacher's distribution over a query's own passages.
        in_batch_kl: The same over all passages of the batch, for teachers that can score any pair.
    """

    contrastive: Amount = 0.0
    margin_mse: Amount = 0.0
    kl: Amount = 0.0
    in_batch_kl: Amount = 0.0

    @property
    def is_distilled(self) -> bool:
        """Whether a teacher's scores are learned from."""
        return bool(self.margin_mse or self.kl or self.in_batch_kl)

    @model_validator(mode="after")
    def _is_there(self) -> Losses:
        if not (self.contrastive or self.is_distilled):
            raise ValueError("at least one loss must count")
        return self


class Sparsity(_Section):
    """FLOPS regularization (arXiv 2004.05665), its weights raised quadratically as in arXiv 2109.10086.

    The paper's weights, from 1e-4 to 3e-3, belong to its scores, which are not scaled. Here the student's scores have a scale,
    and what they are compared with a temperature: weights from 0.03 and 0.003 (43 and 121 terms of a query and a passage of
    textbooks, after 300 steps from splade-minilm) to 0.1 and 0.008 (27 and 78) were seen to be apt.

    Attributes:
        query_weight: λ_q, reached at the end of the ramp.
        document_weight: λ_d.
        ramp: Part of the steps in which the weights rise.
        query_terms: Active terms of a query to steer λ_q to; None: λ_q is not steered.
        document_terms: The same for documents.
        gain: How quickly λ follows: its logarithm moves a step by this times the logarithm of what is to what should be.
            Too quick ruins quality.
        threshold: Subtracted from the logits of the model that comes out, by the decoder's bias: terms that are hardly active
            fall silent, on both sides.
    """

    query_weight: Amount = 0.03
    document_weight: Amount = 0.003
    ramp: Annotated[float, Field(gt=0, le=1)] = 0.33
    query_terms: PositiveInt | None = None
    document_terms: PositiveInt | None = None
    gain: Annotated[float, Field(gt=0, le=1)] = 0.003
    threshold: Amount = 0.0


class Head(_Section):
    """How the masked-LM head of the base is made ready.

    Attributes:
        mlm_steps: Steps of masked-language modelling for a base that has no such head.
        mlm_learning_rate: Its peak.
        initial_terms: Terms that are active in a passage at the start, by a shift of the decoder's bias: a term that is
            silent gets no gradient. None is 1,200 for a base that had no head, and leaves others as they are.
    """

    mlm_steps: PositiveInt = 250
    mlm_learning_rate: Annotated[float, Field(gt=0)] = 5e-4
    initial_terms: PositiveInt | None = None


class Optimization(_Section):
    """The steps.

    Attributes:
        steps: How many.
        queries: Queries of a step.
        passages: Passages of a query, the best one included.
        max_length: Tokens of a passage, special ones included.
        query_max_length: Tokens of a query; not of SPLADE-doc's, which costs nothing.
        learning_rate: Peak, for the trunk.
        head_learning_rate: Peak, for the masked-LM head.
        warmup: Part of the steps in which the learning rate rises; then it falls linearly.
        weight_decay: AdamW's.
        dropout: In the trunk; None: the base's own.
        score_scale: Where the learnable scale of the student's scores starts. None is where the loss of some batches is
            least: with another one, the student's scores are too large or too small for what it is to say, and the first
            thing that it learns is to lose or to grow terms. The scale learns quickly (``scale_learning_rate``), so that the
            size of the scores does not fight the regularizer.
        scale_learning_rate: Of its logarithm.
        base_share: How much of the base stays: at the end all weights are this times the base's plus the rest times the
            trained ones (WiSE-FT, arXiv 2109.01903). For a base that is a SPLADE model already: on texts unlike those that
            it is trained on now, the average is often better than both.
        precision: ``auto`` is bfloat16 where the device computes it natively.
        checkpoint: Steps between checkpoints.
        log: Steps between lines of the log.
        seed: Of everything that is drawn.
    """

    steps: PositiveInt = 1000
    queries: PositiveInt = 20
    passages: Annotated[int, Field(ge=1)] = 3
    max_length: Annotated[int, Field(ge=8)] = 128
    query_max_length: Annotated[int, Field(ge=4)] = 32
    learning_rate: Annotated[float, Field(gt=0)] = 6e-5
    head_learning_rate: Annotated[float, Field(gt=0)] = 5e-4
    warmup: Fraction = 0.05
    weight_decay: Amount = 0.01
    dropout: Fraction | None = 0.0
    score_scale: Annotated[float, Field(gt=0)] | None = None
    scale_learning_rate: Annotated[float, Field(gt=0)] = 0.02
    base_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    checkpoint: PositiveInt = 100
    log: PositiveInt = 10
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1


class Validation(_Section):
    """What the model is measured on while it learns, through an index of quantized impacts.

    Attributes:
        corpus: A corpus, as ``encode --corpus`` takes it.
        topics: Queries.
        qrels: Judgments.
        every: Steps between; 0: at the end only.
        measures: As ir_measures spells them.
        max_length: Tokens of a document.
    """

    corpus: str
    topics: str
    qrels: str
    every: Annotated[int, Field(ge=0)] = 0
    measures: Annotated[tuple[str, ...], Field(min_length=1)] = QUICK_MEASURES
    max_length: PositiveInt = 256

    _paths = field_validator("corpus", "topics", "qrels")(_absolute)


RecipeName = Literal["splade", "splade-max", "splade-doc", "distilsplade-max"]


class TrainingConfig(_Section):
    """A training run; see the module for an example.

    Attributes:
        recipe: One of the paper's four systems (:mod:`splade_lucene.training.recipes`).
        base: A masked-language model, or an encoder whose head is then restored: folder or hub name.
        output: The folder for everything that is made.
        cache: The folder for what several runs can share: the base with its head, dense vectors, the BM25 index. None: the
            output folder.
        data: What is learned from.
        teacher: What orders the candidates and is distilled from.
        mining: Where candidates come from.
        losses: None: the recipe's.
        sparsity: The regularization.
        head: How the head is made ready.
        optimization: The steps.
        validation: What it is measured on; None: on nothing.
        rounds: 2 trains once more from the base, with negatives from the first round's model.
    """

    recipe: RecipeName
    base: str
    output: str
    cache: str | None = None
    data: Data
    teacher: Teacher | None = None
    mining: Mining = Mining()
    losses: Losses | None = None
    sparsity: Sparsity = Sparsity()
    head: Head = Head()
    optimization: Optimization = Optimization()
    validation: Validation | None = None
    rounds: Literal[1, 2] = 1

    _paths = field_validator("base")(_absolute)

    @field_validator("output", "cache")
    @classmethod
    def _below_the_file(cls, value: str | None, info: ValidationInfo) -> str | None:
        folder = (info.context or {}).get("folder")
        return value if folder is None or value is None else str(Path(folder) / Path(value).expanduser())

    @model_validator(mode="after")
    def _fits(self) -> TrainingConfig:
        if self.teacher is None and self.data.examples is None:
            raise ValueError("give data.examples, or a teacher that orders what is mined")
        if self.data.examples is None and not (self.data.passages and self.data.queries):
            raise ValueError("give data.passages and data.queries, or data.examples that hold their texts")
        if self.data.temperature is not None and (self.data.examples is None or self.teacher is not None):
            raise ValueError(
                "data.temperature is for scores in data.examples; a teacher has its own: teacher.temperature"
            )
        if self.rounds == 2 and self.data.examples is not None:
            raise ValueError("two rounds mine their own examples: leave out data.examples, or set rounds to 1")
        return self


def read_config(path: str | Path, **changes: Any) -> TrainingConfig:
    """Reads and checks a configuration.

    Args:
        path: The YAML file.
        changes: Values that take the place of the file's, such as ``output``; ``None`` changes nothing.

    Raises:
        ConfigError: The file cannot be read, or a key or value is wrong; names all of them.
    """
    path = Path(path)
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the file cannot be read ({error})", path=path, remedy="Check the path") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = None if mark is None else mark.line + 1
        problem = getattr(error, "problem", None) or "not YAML"
        raise ConfigError(f"broken YAML ({problem})", path=path, line=line, remedy="Mend the line") from None
    except ValueError as error:  # a date that is none
        raise ConfigError(f"broken YAML ({error})", path=path, remedy="Put the value into quotation marks") from None
    if not isinstance(raw, dict):
        raise ConfigError("the file holds no mapping of keys", path=path, remedy="Write 'recipe: splade-max' and so on")
    given = {key: str(Path(value).absolute()) if key == "output" else value for key, value in changes.items() if value}
    try:
        return TrainingConfig.model_validate({**raw, **given}, context={"folder": str(path.absolute().parent)})
    except ValidationError as error:
        problems = [_describe(each, path) for each in error.errors()]
        raise ConfigError("; ".join(problems), path=path, remedy=_REMEDY) from None


_REMEDY = "docs/training.md says what a configuration holds"


def _describe(problem: Any, path: Path) -> str:
    where = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        message = "no such key"
    got = "" if problem["type"] in ("missing", "value_error") else f", got {problem['input']!r:.80}"
    return f"{where}{_line_of(path, problem['loc'])}: {message}{got}" if where else message


def _line_of(path: Path, keys: tuple[int | str, ...]) -> str:
    """Where a key stands in the file, if it does."""
    node = yaml.compose(path.read_text(encoding="utf-8"))
    line = None
    for key in keys:
        pairs = getattr(node, "value", None)
        if not isinstance(pairs, list):
            break
        found = next((pair for pair in pairs if isinstance(pair, tuple) and pair[0].value == str(key)), None)
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return "" if line is None else f" (line {line})"
