"""The values that a limit is compared with, over its window, by label."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from sqlalchemy import Connection, func, select

from brain.metrics import tables
from brain.metrics.compiled import Epoch
from brain.metrics.kinds import Statistic
from brain.metrics.query import LABELS_OF, SERIES, Sums
from brain.metrics.series import NONE, OTHER
from brain.metrics.state import first_counted
from brain.metrics.windows import USUAL, figure, first_bucket, rows_in_window, step_for

if TYPE_CHECKING:
    from brain.metrics.definitions import LimitDefinition

_COUNTS = (Statistic.COUNT, Statistic.SUM, Statistic.RATE)


def limit_values(
    connection: Connection, limit: LimitDefinition, epoch: Epoch | None, now: float, known: Iterable[str]
) -> dict[str, float | None]:
    """By label, "" where the limit is on all together; also for labels `known` to be crossed that have no value now.

    A count of nothing is 0. Another figure of nothing is 0 for a limit from above, which clears it, and None (not
    available) for one from below. Until a whole window was counted, there are no values for limits from below.
    """
    window = limit.window_seconds
    if limit.below is not None and not _is_whole(connection, epoch, window, now):
        return {}
    if epoch is not None:
        values, is_count = _defined(connection, limit, epoch, now)
    else:
        values, is_count = _builtin(connection, limit, now)
    nothing = 0.0 if is_count or limit.above is not None else None
    usual: dict[str, float | None] = dict.fromkeys(known, nothing)
    if limit.by is None:
        usual[""] = nothing
    return {**usual, **{label: value for label, value in values.items() if not limit.by or label not in (OTHER, NONE)}}


def _is_whole(connection: Connection, epoch: Epoch | None, window: float, now: float) -> bool:
    began = epoch.began_at if epoch is not None else first_counted(connection)
    return began is not None and began <= now - window


def _defined(
    connection: Connection, limit: LimitDefinition, epoch: Epoch, now: float
) -> tuple[dict[str, float | None], bool]:
    statistic = limit.statistic or USUAL[epoch.definition.kind]
    scale, window = 10**epoch.definition.decimals, limit.window_seconds
    rows = rows_in_window(connection, epoch, window, now, limit.by)
    values = {label: figure(row, statistic, scale, window) for label, row in rows.items()}
    return values, statistic in _COUNTS


def _builtin(connection: Connection, limit: LimitDefinition, now: float) -> tuple[dict[str, float | None], bool]:
    by = limit.by or next(iter(LABELS_OF[limit.metric]), "")
    kind = SERIES[limit.metric, by]
    table, window = tables.points.c, limit.window_seconds
    label = table.label if limit.by else None
    columns = [func.sum(table.count), func.sum(table.sum)]
    query = select(*([label] if label is not None else []), *columns).where(
        table.step == step_for(window),
        table.series == kind.stored,
        table.bucket >= first_bucket(window, now),
        table.bucket <= now,
    )
    found: dict[str, Sums] = {}
    for row in connection.execute(query.group_by(label) if label is not None else query):
        if row[-1] is not None:
            found[row[0] if label is not None else ""] = (int(row[-2]), int(row[-1]))
    return {name: kind.value(sums) for name, sums in found.items()}, kind.filled
