"""Series of the metrics that users define."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping

from sqlalchemy import Connection, func, select

from brain.errors import InvalidInput
from brain.metrics import tables
from brain.metrics.compiled import CompiledMetric, Epoch, split_label
from brain.metrics.defined_rows import DefinedRow
from brain.metrics.epochs import active_epochs
from brain.metrics.kinds import MetricKind, Statistic
from brain.metrics.query import NAMES, Line, Series, read_series
from brain.metrics.series import OTHER
from brain.metrics.time_range import TimeRange
from brain.metrics.windows import USUAL, figure

GAUGES = (Statistic.LOW, Statistic.HIGH, Statistic.LAST)
_FILLED = (Statistic.COUNT, Statistic.SUM, Statistic.RATE)

ByStart = dict[int, DefinedRow]


def find_epoch(connection: Connection, name: str) -> Epoch | None:
    """The definition of that name that counts now."""
    return next((epoch for epoch in active_epochs(connection) if epoch.name == name), None)


def find_series(
    connection: Connection,
    named: tuple[str, str | None],
    period: TimeRange,
    top: int,
    now: float,
    statistic: Statistic | None = None,
) -> Series:
    """The series of that name and label, one of ours or of the metrics that users define.

    Raises InvalidInput for what does not exist.
    """
    name, by = named
    epoch = None if name in NAMES else find_epoch(connection, name)
    if epoch is not None:
        return read_defined_series(connection, epoch, by, statistic, period, top)
    if statistic is not None:
        raise InvalidInput("statistic: is for metrics that are defined; leave it out")
    return read_series(connection, name, by, period, top, now)


def read_defined_series(
    connection: Connection, epoch: Epoch, by: str | None, statistic: Statistic | None, period: TimeRange, top: int
) -> Series:
    """The series in this range: the `top` largest lines, the rest as OTHER.

    Raises InvalidInput for a label or a statistic that the metric does not have.
    """
    chosen = statistic or USUAL[epoch.definition.kind]
    check_statistic(epoch, chosen)
    label = _label(epoch, by)
    found = _rows(connection, epoch, label, period)
    lines = _top(found, top, epoch)
    began = _began(connection, epoch)
    scale = 10**epoch.definition.decimals

    def points(rows: ByStart) -> list[tuple[int, float]]:
        empty = CompiledMetric(epoch).empty_row()
        filled = chosen in _FILLED
        values = (
            (at, figure(rows.get(at, empty), chosen, scale, period.step))
            for at in period.starts
            if at in rows or (filled and at + period.step > began)
        )
        return [(at, value) for at, value in values if value is not None]

    made = [Line({label: value} if label else {}, points(rows)) for value, rows in lines.items()]
    return Series(
        epoch.name, label, period.since, period.until, period.step, made, None, str(chosen), epoch.number, began
    )


def check_statistic(epoch: Epoch, statistic: Statistic) -> None:
    """Raises InvalidInput for what a metric of this kind does not have."""
    if statistic in GAUGES and epoch.definition.kind is not MetricKind.GAUGE:
        raise InvalidInput(f"statistic: {epoch.name} is a {epoch.definition.kind}, which has no {statistic}")


def _label(epoch: Epoch, by: str | None) -> str:
    labels = list(epoch.definition.labels)
    if by and by not in labels:
        remedy = f"use {' or '.join(labels)}" if labels else "leave it out"
        raise InvalidInput(f"by: {epoch.name} cannot be split by {by[:100]!r}; {remedy}")
    return by or (labels[0] if labels else "")


def _began(connection: Connection, epoch: Epoch) -> float:
    """From when on there are points: since it was defined, or since its first event where older ones were counted."""
    table = tables.defined.c
    first = select(func.min(table.bucket)).where(table.epoch == epoch.id, table.step > 0)
    found = connection.execute(first).scalar_one()
    return epoch.began_at if found is None else min(epoch.began_at, float(found))


def _rows(connection: Connection, epoch: Epoch, by: str, period: TimeRange) -> dict[str, ByStart]:
    """What was observed, by label and by the start of each step. Counters are added up by the database."""
    table = tables.defined.c
    start = (table.bucket - (table.bucket - period.origin) % period.step).label("start")
    within = (
        table.step == period.stored,
        table.epoch == epoch.id,
        table.bucket >= period.since,
        table.bucket < period.until,
    )
    metric = CompiledMetric(epoch)
    found: defaultdict[str, ByStart] = defaultdict(dict)
    if epoch.definition.kind is MetricKind.COUNTER:
        sums = select(table.label, start, func.sum(table.count), func.sum(table.sum)).where(*within)
        for label, at, count, total in connection.execute(sums.group_by(table.label, start)):
            row = found[_part(epoch, label, by)].setdefault(int(at), metric.empty_row())
            row.count += int(count)
            row.sum += int(total)
        return dict(found)
    every = select(table.label, start, *tables.FIGURES).where(*within).order_by(table.bucket)
    for label, at, *figures in connection.execute(every):
        rows = found[_part(epoch, label, by)]
        rows.setdefault(int(at), metric.empty_row()).absorb(metric.empty_row().fill(figures))
    return dict(found)


def _part(epoch: Epoch, label: str, by: str) -> str:
    return split_label(epoch.definition, label)[by] if by else ""


def _top(found: Mapping[str, ByStart], top: int, epoch: Epoch) -> dict[str, ByStart]:
    def weight(label: str) -> tuple[int, str]:
        return -sum(row.weight for row in found[label].values()), label

    order = sorted((label for label in found if label != OTHER), key=weight)
    lines = {label: found[label] for label in order[:top]}
    rest: ByStart = {}
    make: Callable[[], DefinedRow] = CompiledMetric(epoch).empty_row
    for label in (*order[top:], OTHER):
        for at, row in found.get(label, {}).items():
            rest.setdefault(at, make()).absorb(row)
    return {**lines, OTHER: rest} if rest else lines
