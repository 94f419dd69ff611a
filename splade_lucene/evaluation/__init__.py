"""Step 8: evaluates runs against judgments, one run or several side by side.

=========================  ===========================================================================================
module                     content
=========================  ===========================================================================================
``judgments``              reading judgments
``interchange``            judgments as objects of ranx, ir_measures and pandas
``measured_run``           a run prepared for measuring: hits or ranks
``measures``               measures by name, computed by ``providers`` (of ir_measures), ``trec_eval``, ``msmarco``
``significance``           paired tests and corrections
``comparison``             several runs side by side, query by query
``tables``, ``plots``      comparisons as text, Markdown, LaTeX, JSON or a plot
``explanation``            why the query that changed most changed
``efficiency``             the cost of retrieval
``loss_report``            the distortion by precision, pruning and quantization
=========================  ===========================================================================================

All figures agree with trec_eval 9: they are computed by ir_measures or by trec_eval's own code. ``trec_eval_10`` has the
figures in which version 10 differs.
"""

from splade_lucene.evaluation.comparison import Comparison, Difference, QueryDifference, compare
from splade_lucene.evaluation.explanation import Change, describe_change, explain_top_change
from splade_lucene.evaluation.judgments import Qrels, read_qrels
from splade_lucene.evaluation.measured_run import MeasuredRun, RunLike
from splade_lucene.evaluation.measures import (
    Measure,
    evaluate,
    evaluate_queries,
    parse_measure,
    parse_measures,
)
from splade_lucene.evaluation.plots import draw_differences
from splade_lucene.evaluation.significance import Significance, correct, paired_test
from splade_lucene.evaluation.tables import (
    Table,
    render,
    tabulate,
    tabulate_means,
    tabulate_queries,
    tabulate_tests,
    to_json,
)

__all__ = [
    "Change",
    "Comparison",
    "Difference",
    "Measure",
    "MeasuredRun",
    "Qrels",
    "QueryDifference",
    "RunLike",
    "Significance",
    "Table",
    "compare",
    "correct",
    "describe_change",
    "draw_differences",
    "evaluate",
    "evaluate_queries",
    "explain_top_change",
    "paired_test",
    "parse_measure",
    "parse_measures",
    "read_qrels",
    "render",
    "tabulate",
    "tabulate_means",
    "tabulate_queries",
    "tabulate_tests",
    "to_json",
]
