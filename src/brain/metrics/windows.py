"""What was observed in a window of time that ends now: of the series of brain.metrics.query, and of defined metrics."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from fractions import Fraction

from sqlalchemy import Connection, select

from brain.metrics import series, tables
from brain.metrics.compiled import CompiledMetric, Epoch, split_label
from brain.metrics.defined_rows import DefinedRow
from brain.metrics.kinds import MetricKind, Statistic
from brain.metrics.series import OTHER

USUAL: Mapping[MetricKind, Statistic] = {
    MetricKind.COUNTER: Statistic.SUM,
    MetricKind.GAUGE: Statistic.LAST,
    MetricKind.HISTOGRAM: Statistic.MEAN,
}
"""The figure of a metric where none is named."""


def step_for(window: float) -> int:
    """The width of the buckets that a window is added up from: at most some hundred of them."""
    minute, hour = series.STEPS[1:]
    return series.STEPS[0] if window <= hour else minute if window <= 86_400 else hour


def first_bucket(window: float, now: float) -> int:
    """The first bucket that lies within the window in whole."""
    step = step_for(window)
    return -int(-(now - window) // step) * step


def rows_in_window(
    connection: Connection, epoch: Epoch, window: float, now: float, by: str | None = None
) -> dict[str, DefinedRow]:
    """What the metric observed in the window, by the values of a label; "" for all together."""
    table, step = tables.defined.c, step_for(window)
    query = (
        select(table.label, *tables.FIGURES)
        .where(table.step == step, table.epoch == epoch.id)
        .where(table.bucket >= first_bucket(window, now), table.bucket <= now)
        .order_by(table.bucket)
    )
    metric = CompiledMetric(epoch)
    found: dict[str, DefinedRow] = {}
    for row_label, *figures in connection.execute(query):
        label = split_label(epoch.definition, row_label).get(by, OTHER) if by else ""
        found.setdefault(label, metric.empty_row()).absorb(metric.empty_row().fill(figures))
    return found


def figure(row: DefinedRow, statistic: Statistic, scale: int, window: float) -> float | None:
    """A figure of what was observed; None where nothing was and 0 would be wrong."""
    if statistic is Statistic.COUNT:
        return row.count
    if statistic is Statistic.SUM:
        return row.sum / scale
    if statistic is Statistic.RATE:
        return row.sum / scale / window
    if statistic is Statistic.MEAN:
        return row.sum / scale / row.count if row.count else None
    return {Statistic.LOW: row.low, Statistic.HIGH: row.high, Statistic.LAST: row.last}[statistic]


def sums_in_windows(connection: Connection, epoch: Epoch, windows: Sequence[int], now: float) -> dict[int, Fraction]:
    """What a counter added up to in each of the windows, exactly; one query for each width of buckets."""
    by_step: defaultdict[int, list[int]] = defaultdict(list)
    for window in windows:
        by_step[step_for(window)].append(window)
    table, scale = tables.defined.c, 10**epoch.definition.decimals
    found: dict[int, Fraction] = {}
    for step, some in by_step.items():
        since = min(first_bucket(window, now) for window in some)
        query = select(table.bucket, table.sum).where(
            table.step == step, table.epoch == epoch.id, table.bucket >= since, table.bucket <= now
        )
        points = [(bucket, total) for bucket, total in connection.execute(query)]
        for window in some:
            first = first_bucket(window, now)
            found[window] = Fraction(sum(total for bucket, total in points if bucket >= first), scale)
    return found
