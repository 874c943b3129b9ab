"""Work on a database as tasks of ours do it: once more whenever the database gives up, as after a wait for a lock."""

from __future__ import annotations

from collections.abc import Callable

from brain.kit.database import OUTAGE
from support.waiting import wait_until


def until_committed(step: Callable[[], object]) -> None:
    """Do the step, which is one transaction, until it is committed. Raises TimeoutError as `wait_until` does."""

    def committed() -> bool:
        try:
            step()
        except OUTAGE:
            return False
        return True

    wait_until(committed)
