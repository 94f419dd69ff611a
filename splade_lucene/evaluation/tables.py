"""Tables of measures with significance marks: plain text, Markdown, LaTeX (booktabs) or JSON.

With a baseline, † marks a significant difference from it. Without one, every run has a letter, and a figure is marked with the
letters of the runs that it is significantly better than. The best figure of each measure is bold, or starred in plain text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from splade_lucene.arguments import check_choice
from splade_lucene.counts import counted
from splade_lucene.errors import InputError
from splade_lucene.evaluation.comparison import Comparison, QueryDifference

TableFormat = Literal["text", "markdown", "latex", "json"]

_NAMES = {
    "t": "paired t-test",
    "bootstrap": "paired bootstrap test",
    "randomization": "paired randomization test",
    "holm": "Holm's correction",
    "bonferroni": "Bonferroni's correction",
    "benjamini-hochberg": "Benjamini and Hochberg's correction",
    "none": "no correction",
}
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "†": r"\dag{}", "→": r"$\rightarrow$", "α": r"$\alpha$",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One figure of a table.

    Attributes:
        text: The formatted figure.
        mark: † or letters that mark its significance.
        is_best: Whether it is the best in its column.
    """

    text: str
    mark: str = ""
    is_best: bool = False


@dataclass(frozen=True)
class Table:
    """A table of figures with a legend.

    Attributes:
        columns: Names of the columns with figures.
        rows: Name of each row, and a cell for each column; at least one row.
        legend: Lines below the table.
        corner: Heading of the column of names.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    legend: tuple[str, ...] = ()
    corner: str = ""

    def render(self, format: TableFormat = "text") -> str:  # noqa: A002
        r"""Renders the table as text, Markdown or LaTeX, without a trailing newline.

        Raises:
            InputError: The format is unknown.

        Example:
            >>> print(Table(("RR@10",), (("a_b", (Cell("0.5000", "†", True),)),)).render("markdown"))
            |  | RR@10 |
            |---|---:|
            | a\_b | **0.5000**† |
        """
        renderers = {"text": self._as_text, "markdown": self._as_markdown, "latex": self._as_latex}
        if format not in renderers:
            raise InputError(f"unknown table format {format!r}", remedy=f"Choose one of: {', '.join(renderers)}")
        return renderers[format]()

    def _as_text(self) -> str:
        suffixes = [[("*" if cell.is_best else "") + cell.mark for cell in row] for _, row in self.rows]
        first = max(len(name) for name in (self.corner, *(name for name, _ in self.rows)))
        head, lines = self.corner.ljust(first), [name.ljust(first) for name, _ in self.rows]
        for number, column in enumerate(self.columns):
            figures = [row[number].text for _, row in self.rows]
            width = max(8, len(column), *map(len, figures))
            mark_width = max(len(row[number]) for row in suffixes)  # marks follow the figures, which stay aligned
            head += f"  {column:>{width}}" + " " * mark_width
            for line, (figure, suffix) in enumerate(zip(figures, suffixes, strict=True)):
                lines[line] += f"  {figure:>{width}}" + suffix[number].ljust(mark_width)
        return "\n".join([*(line.rstrip() for line in (head, *lines)), *self.legend])

    def _as_markdown(self) -> str:
        def row(cells: Sequence[str]) -> str:
            return "| " + " | ".join(cells) + " |"

        lines = [row([_escape_markdown(each) for each in (self.corner, *self.columns)])]
        lines.append("|---|" + "---:|" * len(self.columns))
        for name, cells in self.rows:
            figures = [(f"**{cell.text}**" if cell.is_best else cell.text) + cell.mark for cell in cells]
            lines.append(row([_escape_markdown(name), *figures]))
        return "\n".join([*lines, *(f"\n{_escape_markdown(line)}" for line in self.legend)])

    def _as_latex(self) -> str:
        def row(cells: Sequence[str]) -> str:
            return " & ".join(cells) + r" \\"

        lines = [r"\begin{tabular}{l" + "r" * len(self.columns) + "}", r"\toprule"]
        lines += [row([escape_latex(each) for each in (self.corner, *self.columns)]), r"\midrule"]
        for name, cells in self.rows:
            figures = [
                (rf"\textbf{{{_latex_figure(cell.text)}}}" if cell.is_best else _latex_figure(cell.text))
                + (rf"\textsuperscript{{{escape_latex(cell.mark)}}}" if cell.mark else "")
                for cell in cells
            ]
            lines.append(row([escape_latex(name), *figures]))
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", *(f"% {line}" for line in self.legend)])


def escape_latex(text: str) -> str:
    r"""Escapes text for LaTeX.

    Example:
        >>> print(escape_latex("BM25_k1 & 50%"))
        BM25\_k1 \& 50\%
    """
    return "".join(_LATEX.get(character, character) for character in text)


def _latex_figure(text: str) -> str:
    return escape_latex(text).replace("-", "$-$")  # a minus sign, not a hyphen


def _escape_markdown(text: str) -> str:
    return "".join(f"\\{character}" if character in "\\`*_|[]<>#" else character for character in text)


def tabulate_means(means: Mapping[str, Mapping[str, float]], *, corner: str = "", best: bool = True) -> Table:
    """A table of figures without tests.

    Args:
        means: run → measure → mean; or qid → measure → value.
        corner: Heading of the column of names.
        best: Whether to mark the best figure of each measure.
    """
    measures = tuple(next(iter(means.values())))
    highest = {each: _best(each, [row[each] for row in means.values()]) if best else None for each in measures}
    rows = tuple(
        (name, tuple(Cell(show(row[each], each), "", row[each] == highest[each]) for each in measures))
        for name, row in means.items()
    )
    return Table(measures, rows, corner=corner)


def tabulate(comparison: Comparison) -> Table:
    """A table of a comparison: one row per run and one column per measure, with marks and their legend."""
    letters = _letters(comparison.runs)
    means = comparison.means
    best = {each: _best(each, [row[each] for row in means.values()]) for each in comparison.measures}
    rows = []
    for run in comparison.runs:
        cells = tuple(
            Cell(show(means[run][each], each), _mark(comparison, letters, run, each), means[run][each] == best[each])
            for each in comparison.measures
        )
        rows.append((run if comparison.baseline else f"{letters[run]} {run}", cells))
    return Table(comparison.measures, tuple(rows), _legend(comparison))


def show(value: float, measure: str) -> str:
    """Formats a figure with four digits as in trec_eval; counts such as num_ret have none."""
    return f"{value:,.0f}" if _is_count(measure) else f"{value:.4f}"


def _is_count(measure: str) -> bool:
    return measure.lower().startswith("num")


def _best(measure: str, values: Sequence[float]) -> float | None:
    return None if _is_count(measure) or len(values) < 2 else max(values)


def _letters(runs: Sequence[str]) -> dict[str, str]:
    names = "abcdefghijklmnopqrstuvwxyz"
    return {
        run: names[number] if number < len(names) else f"({number + 1})" for number, run in enumerate(runs)
    }  # fmt: skip


def _mark(comparison: Comparison, letters: Mapping[str, str], run: str, measure: str) -> str:
    found = [each for each in comparison.tests if each.measure == measure and each.is_significant]
    if comparison.baseline:
        return "†" if any(each.run == run for each in found) else ""
    beaten = {each.against for each in found if each.run == run and each.difference > 0}
    beaten |= {each.run for each in found if each.against == run and each.difference < 0}
    return "".join(letters[each] for each in comparison.runs if each in beaten)


def _legend(comparison: Comparison) -> tuple[str, ...]:
    method = (
        f"{_NAMES[comparison.test]}, {_NAMES[comparison.correction]} over the tests of a measure, p < {comparison.alpha:g}, "
        f"{counted(len(comparison.qids), 'query')}"
    )
    if comparison.test != "t":
        method += f", {counted(comparison.samples, 'sample')}, seed {comparison.seed}"
    meaning = (
        f"† differs from {comparison.baseline}"
        if comparison.baseline
        else "letters: better than the runs with these letters"
    )
    missing = [f"{run}: {len(qids)}" for run, qids in comparison.without_hits.items() if qids]
    remarks = sorted(
        {
            f"{each.measure}, {each.run} and {each.against}: {each.significance.remark}"
            for each in comparison.tests
            if each.significance.remark
        }
    )
    lines = [f"{meaning} ({method})"]
    if missing:
        lines.append(f"queries without hits (counted as 0): {', '.join(missing)}")
    return (*lines, *remarks)


def tabulate_tests(comparison: Comparison) -> Table:
    """A table of all tests: difference, confidence interval, p-values, and numbers of queries gained, lost and equal."""
    rows = []
    for each in comparison.tests:
        interval = each.significance.interval
        figures = (
            f"{each.difference:+.4f}", "" if interval is None else f"{interval[0]:+.4f} to {interval[1]:+.4f}",
            _show_p(each.significance.p_value), _show_p(each.corrected), str(each.gained), str(each.lost), str(each.equal),
        )  # fmt: skip
        cells = tuple(Cell(figure) for figure in figures)
        rows.append((f"{each.measure} {each.against} → {each.run}", cells))
    columns = ("mean", "95 % interval", "p", "corrected", "gained", "lost", "equal")
    return Table(columns, tuple(rows), corner="difference")


def _show_p(p_value: float | None) -> str:
    return "" if p_value is None else "<0.0001" if p_value < 1e-4 else f"{p_value:.4f}"


def tabulate_queries(
    differences: Sequence[QueryDifference], names: tuple[str, str], measure: str, texts: Mapping[str, str]
) -> Table:
    """A table of queries in two runs.

    Args:
        differences: The queries.
        names: Names of the run and of the run that it is compared with.
        measure: Name of the measure.
        texts: qid → text; may be incomplete.
    """
    rows = tuple(
        (
            f"{each.qid} {' '.join(texts.get(each.qid, '').split()):.60}".rstrip(),
            (Cell(show(each.against, measure)), Cell(show(each.value, measure)), Cell(f"{each.difference:+.4f}")),
        )
        for each in differences
    )
    return Table((names[1], names[0], "difference"), rows, corner=f"{measure} of query")


def pick_extremes(differences: Sequence[QueryDifference], count: int) -> list[QueryDifference]:
    """The queries with the largest gains and the largest losses; queries without a difference are omitted.

    Args:
        differences: All queries, largest gain first.
        count: Maximum number of gains and of losses.
    """
    gained = [each for each in differences if each.difference > 0][:count]
    lost = [each for each in differences if each.difference < 0][-count:] if count else []
    return gained + lost


def to_json(comparison: Comparison) -> dict[str, Any]:
    """The complete comparison as plain data, including the values of all queries."""
    return {
        "queries": len(comparison.qids), "test": comparison.test, "correction": comparison.correction,
        "alpha": comparison.alpha, "samples": comparison.samples, "seed": comparison.seed,
        "baseline": comparison.baseline,
        "means": {run: dict(row) for run, row in comparison.means.items()},
        "tests": [asdict(each) for each in comparison.tests],
        "without_hits": {run: list(qids) for run, qids in comparison.without_hits.items()},
        "values": {
            measure: {run: dict(zip(comparison.qids, values.tolist(), strict=True)) for run, values in by_run.items()}
            for measure, by_run in comparison.values.items()
        },
    }  # fmt: skip


def render(comparison: Comparison, format: TableFormat = "text") -> str:  # noqa: A002
    """Renders a comparison in one of the formats.

    Raises:
        InputError: The format is unknown.
    """
    check_choice(format, TableFormat, "table format")
    return (
        json.dumps(to_json(comparison), ensure_ascii=False) if format == "json" else tabulate(comparison).render(format)
    )
