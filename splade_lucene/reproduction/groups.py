"""Groups of entries: a table of a paper or a benchmark, run as a whole.

A file of the catalogue may hold groups instead of a collection:

.. code-block:: toml

    [[groups]]
    name = "zoo"
    title = "A small table"
    source = "https://example.org/table"
    systems = ["splade-v3"]               # its columns
    [[groups.rows]]
    title = "Animals"
    collections = ["animals"]             # the entry of this row is animals.splade-v3; several collections: their mean
    measure = "RR@10"
    [[groups.averages]]
    title = "average"                     # over all rows, or all but those in without = ["Animals"]
    [groups.averages.published]
    splade-v3 = 0.3999                    # absent: the mean of the published figures
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from splade_lucene.errors import CatalogueError, DownloadError, ModelError
from splade_lucene.evaluation.tables import Cell, Table, show
from splade_lucene.reproduction.entries import Entry
from splade_lucene.reproduction.figures import Figure
from splade_lucene.reproduction.running import Reproduction


@dataclass(frozen=True)
class Row:
    """A row of a group's table.

    Attributes:
        title: Its heading.
        measure: The measure.
        collections: The collections; the figures of several are averaged, as those of CQADupStack are.
    """

    title: str
    measure: str
    collections: tuple[str, ...]


@dataclass(frozen=True)
class Average:
    """An average of rows.

    Attributes:
        title: Its heading.
        without: Titles of rows to leave out.
        published: System → published average. Without one, the published figures of the rows are averaged.
    """

    title: str
    without: tuple[str, ...] = ()
    published: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Group:
    """Entries whose figures are shown in one table.

    Attributes:
        name: Name of the group.
        title: Heading of the table.
        source: Source of the published figures.
        systems: The columns.
        rows: The rows.
        averages: Averages below the rows.
        note: Remark below the table.
    """

    name: str
    title: str
    source: str
    systems: tuple[str, ...]
    rows: tuple[Row, ...]
    averages: tuple[Average, ...] = ()
    note: str = ""

    def members(self, entries: Mapping[str, Entry]) -> list[Entry]:
        """The entries of the group, each once, in the order of the table.

        Raises:
            CatalogueError: An entry does not exist or does not have the measure, or an average names no row.
        """
        found: dict[str, Entry] = {}
        for row in self.rows:
            for name in self._names(row):
                entry = entries.get(name)
                if entry is None or row.measure not in entry.system.published:
                    what = "no such entry" if entry is None else f"no published {row.measure}"
                    raise CatalogueError(f"{self.name}, {row.title}: {name}: {what}", remedy="Correct the group")
                found[name] = entry
        titles = {row.title for row in self.rows}
        for average in self.averages:
            if unknown := {*average.without} - titles | {*average.published} - {*self.systems}:
                raise CatalogueError(
                    f"{self.name}, {average.title}: {', '.join(sorted(unknown))}: no such row or system",
                    remedy="Correct the group",
                )
        return list(found.values())

    def _names(self, row: Row) -> list[str]:
        return [f"{each}.{system}" for system in self.systems for each in row.collections]


@dataclass(frozen=True)
class GroupResult:
    """The figures of a group.

    Attributes:
        group: The group.
        entries: All of its entries, by name.
        reproductions: Those that were run, by name.
        failed: Those whose files or models are not available, by name.
    """

    group: Group
    entries: Mapping[str, Entry]
    reproductions: Mapping[str, Reproduction]
    failed: Mapping[str, Exception]

    @property
    def is_within_tolerance(self) -> bool:
        """Whether all entries were run, and each figure is within its tolerance."""
        return not self.failed and all(each.is_within_tolerance for each in self.reproductions.values())

    def figure(self, row: Row, system: str) -> tuple[float, float | None, bool]:
        """The published figure, the obtained one if all of it was run, and whether that is within its tolerance."""
        names = [f"{each}.{system}" for each in row.collections]
        published = fmean(self.entries[name].system.published[row.measure] for name in names)
        found = [self._find(name, row.measure) for name in names]
        run = [each for each in found if each is not None]
        if len(run) < len(found):
            return published, None, False
        return published, fmean(each.obtained for each in run), all(each.is_within_tolerance for each in run)

    def average(self, average: Average, system: str) -> tuple[float, float | None]:
        """The published average, and the obtained one if all of its rows were run."""
        figures = [self.figure(row, system) for row in self.group.rows if row.title not in average.without]
        obtained = [each for _, each, _ in figures if each is not None]
        published = average.published.get(system, fmean(each for each, _, _ in figures))
        return published, fmean(obtained) if len(obtained) == len(figures) else None

    def table(self) -> Table:
        """The table: two columns for each system, published and obtained."""
        group, rows = self.group, []
        for row in group.rows:
            cells = []
            for system in group.systems:
                published, obtained, is_good = self.figure(row, system)
                cells += [Cell(show(published, row.measure)), _obtained_cell(obtained, is_good=is_good)]
            rows.append((row.title, tuple(cells)))
        for average in group.averages:
            means = [self.average(average, system) for system in group.systems]
            cells = [each for mean, own in means for each in (Cell(f"{mean:.4f}"), _obtained_cell(own, is_good=True))]
            rows.append((average.title, tuple(cells)))
        several = len(group.systems) > 1
        columns = tuple(
            f"{system} {kind}" if several else kind for system in group.systems for kind in ("published", "obtained")
        )
        return Table(columns, tuple(rows), self._legend(), group.title)

    def to_json(self) -> dict[str, Any]:
        """The table as plain data."""
        group = self.group
        rows = [(row.title, [self.figure(row, system)[:2] for system in group.systems]) for row in group.rows]
        rows += [(each.title, [self.average(each, system) for system in group.systems]) for each in group.averages]
        return {
            "name": group.name, "within_tolerance": self.is_within_tolerance, "source": group.source,
            "rows": [
                {"title": title, "figures": [
                    {"system": system, "published": published, "obtained": obtained}
                    for system, (published, obtained) in zip(group.systems, figures, strict=True)
                ]}
                for title, figures in rows
            ],
            "failed": {name: str(error) for name, error in self.failed.items()},
        }  # fmt: skip

    def _find(self, name: str, measure: str) -> Figure | None:
        done = self.reproductions.get(name)
        return next(each for each in done.figures if each.name == measure) if done else None

    def _legend(self) -> tuple[str, ...]:
        lines = [f"published: {self.group.source}", self.group.note]
        if any(not done.is_within_tolerance for done in self.reproductions.values()):
            lines.append("† outside the tolerance of the entry")
        if self.failed:
            lines.append(f"– not run: {', '.join(self.failed)}")
        return tuple(filter(None, lines))


def reproduce_group(
    group: Group, entries: Mapping[str, Entry], reproduce_entry: Callable[[Entry], Reproduction]
) -> GroupResult:
    """Runs all entries of a group; what an earlier run finished is not repeated.

    Args:
        group: The group.
        entries: The catalogue.
        reproduce_entry: Runs one entry, as :func:`splade_lucene.reproduction.reproduce` does.

    Returns:
        The figures. An entry whose files or model are not available does not stop the others.

    Raises:
        CatalogueError: The group names an entry or a measure that does not exist.
    """
    members = group.members(entries)
    done: dict[str, Reproduction] = {}
    failed: dict[str, Exception] = {}
    for entry in members:
        try:
            done[entry.name] = reproduce_entry(entry)
        except (DownloadError, ModelError) as error:
            failed[entry.name] = error
    return GroupResult(group, {each.name: each for each in members}, done, failed)


def _obtained_cell(value: float | None, *, is_good: bool) -> Cell:
    return Cell("–") if value is None else Cell(f"{value:.4f}", "" if is_good else "†")
