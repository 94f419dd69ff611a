"""The configuration of a training run: one YAML file, validated before anything is loaded.

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
from splade_lucene.defaults import DEFAULT_MAX_LENGTH, QUICK_MEASURES
from splade_lucene.encoder.settings import Dtype
from splade_lucene.errors import ConfigError
from splade_lucene.training.examples.scores import Missing
from splade_lucene.training.yaml_text import YamlError, parse_yaml

Fraction = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0)]
LEAST_TEMPERATURE = 1e-6
"""Below it, the losses of scores from 0 to 1 are beyond single precision or have no gradient."""
MOST_TEMPERATURES = 1e6
"""The largest difference of a teacher's scores, in temperatures, that a loss is computed with."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _reject_bool(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool) and cls.model_fields[info.field_name or ""].annotation is not bool:
            raise ValueError(f"expected a number, a string or a section, got {str(value).lower()}")
        return value


_EMPTY = "expected a path or a name, got an empty one"  # an empty path would mean the configuration's folder


def _absolute(value: str | None, info: ValidationInfo) -> str | None:
    """The path relative to the configuration's folder if it exists, else the value: a hub name, a data set, ``python-docs``."""
    folder = (info.context or {}).get("folder")
    if value == "":
        raise ValueError(_EMPTY)
    if value is None or folder is None or value == PYTHON_DOCS:
        return value
    path = Path(folder) / _expanded(value)
    try:
        return str(path) if path.exists() else value
    except OSError:  # a name that is too long
        return value


def _expanded(value: str) -> Path:
    try:
        return Path(value).expanduser()
    except RuntimeError as error:  # an unknown user's home
        raise ValueError(str(error)) from None


class Data(_Section):
    """The training data.

    Attributes:
        passages: A corpus in any supported form (see :mod:`splade_lucene.corpus.reading`). Optional if the examples contain
            their texts.
        queries: Queries in any supported form (see :mod:`splade_lucene.topics.reading`). Optional if the examples contain
            their texts.
        examples: Pairs, triples, lists or judgments in any published shape (see :mod:`splade_lucene.training.examples`).
            Without it, examples are mined: each query's candidates from BM25, a dense encoder and SPLADE, in the teacher's
            order. If the examples have scores, these are distilled, and no teacher may be given.
        scores: Scores of the examples' passages, such as a cross-encoder's for ``msmarco-hard-negatives``: a run in TREC
            format, or qid → docid → score as JSON or as a pickle. Unlike ``teacher.scores``, they keep their margins. With
            judgments as examples, a query's other scored passages are its negatives.
        temperature: Divisor of the examples' scores in all losses. 1 suits a cross-encoder's logits, 0.05 suits cosines.
            None: a twentieth of the mean range of scores within a list.
        missing_scores: What happens where a loss needs a score that a teacher's file or a record lacks, or where all scores
            of an example are equal. ``refuse``: the run does not start. ``drop``: passages without a score are dropped, and
            then examples without two passages of different scores. Both are counted. No score is ever made up.
        ignored_keys: Keys of the examples to ignore. Other unknown keys are refused.
        judgments: Judgments of the queries, for ``mask_known_positives``, beside what the examples say.
        mask_known_positives: Whether a passage that is relevant for a query, according to the examples or the judgments, or
            whose text is that of the query's positive, is no negative of this query in the contrastive loss. False: the
            paper's plain loss, in which every other passage of the batch is a negative.
    """

    passages: str | None = None
    queries: str | None = None
    examples: str | None = None
    scores: str | None = None
    temperature: Annotated[float, Field(ge=LEAST_TEMPERATURE)] | None = None
    missing_scores: Missing = "refuse"
    ignored_keys: tuple[str, ...] = ()
    judgments: str | None = None
    mask_known_positives: bool = True

    _paths = field_validator("passages", "queries", "examples", "scores", "judgments")(_absolute)


class Teacher(_Section):
    """The teacher, which scores passages for queries: a weighted sum of one or more scorers.

    Attributes:
        dense: A dense encoder (sentence-transformers): folder or hub name. It scores by cosine.
        dense_weight: Weight of the dense encoder.
        bm25: Weight of BM25, whose scores are divided by each query's best score; 0: not used.
        cross_encoder: A cross-encoder (sentence-transformers): folder or hub name. It scores the mined candidates; its
            scores are scaled to 0 … 1 for each query.
        cross_encoder_weight: Weight of the cross-encoder.
        scores: A file with the scores of any teacher, scaled in the same way: a run in TREC format, or qid → docid → score as
            JSON or as a pickle. See ``data.missing_scores``.
        scores_weight: Weight of these scores.
        max_length: Maximum tokens that an encoder reads.
        temperature: Divisor of the scores in all losses. With 0.05, a passage with a cosine higher by 0.05 is e times as
            likely.
    """

    dense: str | None = None
    dense_weight: Amount = 1.0
    bm25: Amount = 0.0
    cross_encoder: str | None = None
    cross_encoder_weight: Amount = 1.0
    scores: str | None = None
    scores_weight: Amount = 1.0
    max_length: PositiveInt = 128
    temperature: Annotated[float, Field(ge=LEAST_TEMPERATURE)] = 0.05

    _paths = field_validator("dense", "cross_encoder", "scores")(_absolute)

    @model_validator(mode="after")
    def _require_scorer(self) -> Teacher:
        if not (self.dense or self.bm25 or self.cross_encoder or self.scores):
            raise ValueError("set at least one of dense, bm25, cross_encoder or scores")
        weights = (self.dense_weight, self.bm25, self.cross_encoder_weight, self.scores_weight)
        if (largest := max(weights) / self.temperature) > MOST_TEMPERATURES:
            raise ValueError(
                f"scores of up to {max(weights):g} are {largest:.3g} temperatures, and more than {MOST_TEMPERATURES:g} are "
                "beyond single precision in the losses: raise temperature"
            )
        return self


class Mining(_Section):
    """Where the candidates of a query come from, and how many from each source.

    Attributes:
        bm25: Candidates from BM25.
        dense: Candidates from the dense teacher, if there is one.
        splade: Candidates from a SPLADE index.
        scores: The best passages in the teacher's file of scores, if there is one.
        index: The SPLADE index, built by this package from the same passages; the second round uses the first model's.
        positives: Number of candidates ranked best by the teacher, one of which becomes the first passage of an example;
            None: the recipe's.
        depth: Candidates to keep per query.
    """

    bm25: Annotated[int, Field(ge=0)] = 50
    dense: Annotated[int, Field(ge=0)] = 50
    splade: Annotated[int, Field(ge=0)] = 50
    scores: Annotated[int, Field(ge=0)] = 50
    index: str | None = None
    positives: PositiveInt | None = None
    depth: PositiveInt = 100

    _paths = field_validator("index")(_absolute)


class Losses(_Section):
    """The weight of each loss; 0: not computed.

    Attributes:
        contrastive: In-batch negatives (arXiv 2109.10086, eq. 3): cross-entropy over all passages of a batch.
        margin_mse: MarginMSE (arXiv 2010.02666) over a query's own passages.
        kl: Kullback-Leibler divergence from the teacher's distribution over a query's own passages.
        in_batch_kl: The same over all passages of a batch, for teachers that can score any pair.
    """

    contrastive: Amount = 0.0
    margin_mse: Amount = 0.0
    kl: Amount = 0.0
    in_batch_kl: Amount = 0.0

    @property
    def is_distilled(self) -> bool:
        """Whether the losses need a teacher's scores."""
        return bool(self.margin_mse or self.kl or self.in_batch_kl)

    @model_validator(mode="after")
    def _require_loss(self) -> Losses:
        if not (self.contrastive or self.is_distilled):
            raise ValueError("at least one loss must be above 0")
        return self


class Sparsity(_Section):
    """FLOPS regularization (arXiv 2004.05665), with weights that rise quadratically as in arXiv 2109.10086.

    The paper's weights, from 1e-4 to 3e-3, are for unscaled scores. Here the student's scores have a scale and the teacher's
    have a temperature; weights from 0.03 and 0.003 (43 and 121 terms in a query and a passage of textbooks, after 300 steps
    from splade-minilm) to 0.1 and 0.008 (27 and 78 terms) worked well.

    Attributes:
        query_weight: λ_q, reached at the end of the ramp.
        document_weight: λ_d, reached at the end of the ramp.
        ramp: Fraction of the steps during which the weights rise.
        query_terms: Target number of active terms in a query, to which λ_q is adapted; None: λ_q is not adapted.
        document_terms: The same for documents.
        gain: Speed of the adaptation: in each step, log λ changes by this factor times the log ratio of the actual to the
            target number of terms. High values harm effectiveness.
        threshold: Subtracted from the logits of the final model via the decoder's bias, which removes barely active terms
            from queries and documents.
    """

    query_weight: Amount = 0.03
    document_weight: Amount = 0.003
    ramp: Annotated[float, Field(gt=0, le=1)] = 0.33
    query_terms: PositiveInt | None = None
    document_terms: PositiveInt | None = None
    gain: Annotated[float, Field(gt=0, le=1)] = 0.003
    threshold: Amount = 0.0


class Head(_Section):
    """How the masked-LM head of the base is prepared.

    Attributes:
        mlm_steps: Steps of masked-language modelling for a base without such a head.
        mlm_learning_rate: Peak learning rate of these steps.
        initial_terms: Active terms in a passage at the start, set by shifting the decoder's bias, because inactive terms get
            no gradient. None: 1,200 for a base without a head; other bases are left unchanged.
    """

    mlm_steps: PositiveInt = 250
    mlm_learning_rate: Annotated[float, Field(gt=0)] = 5e-4
    initial_terms: PositiveInt | None = None


class Optimization(_Section):
    """The optimization.

    Attributes:
        steps: Number of steps.
        queries: Queries per step.
        passages: Passages per query, including the positive one.
        max_length: Maximum tokens per passage, including special tokens.
        query_max_length: Maximum tokens per query; not used for SPLADE-doc, where query length is free.
        learning_rate: Peak learning rate of the trunk.
        head_learning_rate: Peak learning rate of the masked-LM head.
        warmup: Fraction of the steps during which the learning rate rises; afterwards it falls linearly.
        weight_decay: Weight decay of AdamW.
        dropout: Dropout in the trunk; None: the base's own, with which the paper's models were trained, too. The steps of
            masked-language modelling always have the base's own.
        score_scale: Initial value of the learnable scale of the student's scores. None: the value that minimizes the loss of
            the first batches; otherwise the scores are too large or too small, and the model first learns to lose or to add
            terms. The scale learns quickly (``scale_learning_rate``), so that the size of the scores does not work against
            the regularizer.
        scale_learning_rate: Learning rate of the logarithm of the scale; 0: the scale stays as it begins.
        base_share: Share of the base in the final weights: this times the base's plus the rest times the trained weights
            (WiSE-FT, arXiv 2109.01903). For a base that is a SPLADE model already: on texts unlike the training data, the
            average is often better than both.
        precision: ``auto`` is bfloat16 where the device supports it natively.
        checkpoint: Steps between checkpoints.
        log: Steps between log entries.
        seed: Random seed.
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
    dropout: Fraction | None = None
    score_scale: Annotated[float, Field(gt=0)] | None = None
    scale_learning_rate: Amount = 0.02
    base_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    precision: Dtype = "auto"
    checkpoint: PositiveInt = 100
    log: PositiveInt = 10
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1


class Validation(_Section):
    """Validation of the model during training, with an index of quantized impacts.

    Attributes:
        corpus: A corpus in any supported form (see :mod:`splade_lucene.corpus.reading`).
        topics: Queries.
        qrels: Judgments.
        every: Steps between validations; 0: only at the end.
        measures: Names as in ir_measures.
        max_length: Maximum tokens per document.
    """

    corpus: str
    topics: str
    qrels: str
    every: Annotated[int, Field(ge=0)] = 0
    measures: Annotated[tuple[str, ...], Field(min_length=1)] = QUICK_MEASURES
    max_length: PositiveInt = DEFAULT_MAX_LENGTH

    _paths = field_validator("corpus", "topics", "qrels")(_absolute)


RecipeName = Literal["splade", "splade-max", "splade-doc", "distilsplade-max"]


class TrainingConfig(_Section):
    """A training run; see the module for an example.

    Attributes:
        recipe: One of the paper's four systems (:mod:`splade_lucene.training.recipes`).
        base: Folder or hub name of a masked-language model, or of an encoder, whose head is then restored.
        output: The output folder.
        cache: The folder for files that several runs can share: the prepared base, dense vectors, the BM25 index. None: the
            output folder.
        data: The training data.
        teacher: The teacher, which ranks the candidates and whose scores are distilled.
        mining: Sources of candidates.
        losses: The losses; None: the recipe's.
        sparsity: The regularization.
        head: Preparation of the head.
        optimization: The optimization.
        validation: The validation; None: no validation.
        keep: Which step's model a round keeps. ``best``: the one whose first measure is highest, the earliest among equals;
            ``all``: the same, and each validated model stays in its folder; ``last``: the one after the last step. None:
            ``best`` if models are validated during training (``validation.every``), else ``last``.
        report_to: Trackers that transformers knows and that are installed, such as ``tensorboard``, ``wandb`` or ``mlflow``.
            TensorBoard's files are in the folder ``tensorboard`` of the output.
        rounds: 2 trains a second time from the base, with negatives mined by the first round's model.
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
    keep: Literal["best", "last", "all"] | None = None
    report_to: tuple[str, ...] = ()
    rounds: Literal[1, 2] = 1

    @property
    def is_validated(self) -> bool:
        """Whether models are validated during training."""
        return self.validation is not None and self.validation.every > 0

    _paths = field_validator("base")(_absolute)

    @field_validator("report_to", mode="before")
    @classmethod
    def _as_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("output", "cache")
    @classmethod
    def _resolve(cls, value: str | None, info: ValidationInfo) -> str | None:
        folder = (info.context or {}).get("folder")
        if value == "":
            raise ValueError(_EMPTY)
        return value if folder is None or value is None else str(Path(folder) / _expanded(value))

    @model_validator(mode="after")
    def _check_consistency(self) -> TrainingConfig:
        if self.teacher is None and self.data.examples is None:
            raise ValueError("set data.examples, or a teacher to rank mined candidates")
        if self.data.examples is None and not (self.data.passages and self.data.queries):
            raise ValueError("set data.passages and data.queries, or data.examples that contain their texts")
        if self.data.examples is None and (self.data.scores or self.data.ignored_keys):
            raise ValueError("data.scores and data.ignored_keys apply to data.examples, which is not set")
        if self.data.scores and self.teacher is not None:
            raise ValueError("set data.scores or a teacher, not both")
        if self.data.temperature is not None and (self.data.examples is None or self.teacher is not None):
            raise ValueError(
                "data.temperature applies to scores in data.examples; for a teacher, set teacher.temperature"
            )
        if self.keep in ("best", "all") and not self.is_validated:
            raise ValueError(f"keep: {self.keep} needs models to be validated during training: set validation.every")
        if self.rounds == 2 and self.data.examples is not None:
            raise ValueError("two rounds mine their own examples: remove data.examples, or set rounds to 1")
        return self


def read_config(path: str | Path, **changes: Any) -> TrainingConfig:
    """Reads and validates a configuration.

    Args:
        path: The YAML file.
        changes: Values that override the file's, such as ``output``; ``None`` changes nothing.

    Raises:
        ConfigError: The file cannot be read, or keys or values are wrong; the message lists all of them.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the file cannot be read ({error})", path=path, remedy="Check the path") from error
    try:
        raw = parse_yaml(text)
    except YamlError as error:
        raise ConfigError(f"invalid YAML ({error})", path=path, line=error.line, remedy="Fix the line") from None
    except ValueError as error:  # an invalid date
        raise ConfigError(f"invalid YAML ({error})", path=path, remedy="Quote the value") from None
    if not isinstance(raw, dict):
        raise ConfigError("the file is not a mapping of keys", path=path, remedy="Write 'recipe: splade-max' and so on")
    overrides = {
        key: str(Path(value).absolute()) if key == "output" and value else value
        for key, value in changes.items()
        if value is not None
    }
    try:
        return TrainingConfig.model_validate({**raw, **overrides}, context={"folder": str(path.absolute().parent)})
    except ValidationError as error:
        problems = [_describe(each, path) for each in error.errors()]
        raise ConfigError("; ".join(problems), path=path, remedy=_REMEDY) from None


_REMEDY = "docs/training.md says what a configuration holds"


def _describe(problem: Any, path: Path) -> str:
    where = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        message = "unknown key"
    got = "" if problem["type"] in ("missing", "value_error") else f", got {problem['input']!r:.80}"
    return f"{where}{_line_of(path, problem['loc'])}: {message}{got}" if where else message


def _line_of(path: Path, keys: tuple[int | str, ...]) -> str:
    """The line of a key in the file, as a suffix for a message; empty if it is not found."""
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
