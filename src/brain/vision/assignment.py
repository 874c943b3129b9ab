"""Which of the rows belongs to which of the columns, so that the sum of the costs is the least."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

Costs = Sequence[Sequence[float]]


def assigned(costs: Costs) -> list[tuple[int, int]]:
    """Pairs of row and column with the least sum of costs, one for each of the fewer of both; by row.

    The Hungarian method with potentials: H. W. Kuhn, "The Hungarian method for the assignment problem", 1955. Equal
    costs give the same pairs each time.
    """
    if not costs or not costs[0]:
        return []
    if len(costs) > len(costs[0]):
        turned = assigned([list(column) for column in zip(*costs, strict=True)])
        return sorted((row, column) for column, row in turned)
    solver = _Solver(costs)
    for row in range(len(costs)):
        solver.add(row)
    return sorted((row, column) for column, row in enumerate(solver.owner[:-1]) if row is not None)


class _Solver:
    def __init__(self, costs: Costs) -> None:
        self._costs = costs
        self._of_row = [0.0] * len(costs)
        self._of_column = [0.0] * (len(costs[0]) + 1)
        self.owner: list[int | None] = [None] * (len(costs[0]) + 1)  # the last is where a new row begins

    def add(self, row: int) -> None:
        """Give this row a column; others may have to take another one for it."""
        start = column = len(self.owner) - 1
        self.owner[start] = row
        least, before, seen = [inf] * start, [start] * start, [False] * (start + 1)
        while (owner := self.owner[column]) is not None:
            seen[column] = True
            self._reach(owner, column, least, before, seen)
            column = min((other for other in range(start) if not seen[other]), key=least.__getitem__)
            self._move(least[column], least, seen)
        while column != start:
            self.owner[column] = self.owner[before[column]]
            column = before[column]

    def _reach(self, row: int, column: int, least: list[float], before: list[int], seen: list[bool]) -> None:
        for other, cost in enumerate(self._costs[row]):
            reduced = cost - self._of_row[row] - self._of_column[other]
            if not seen[other] and reduced < least[other]:
                least[other], before[other] = reduced, column

    def _move(self, step: float, least: list[float], seen: list[bool]) -> None:
        for column, was_seen in enumerate(seen):
            owner = self.owner[column]
            if was_seen and owner is not None:
                self._of_row[owner] += step
                self._of_column[column] -= step
            elif column < len(least):
                least[column] -= step
