"""What is still to be done while a store is open: called when it is about to close."""

from __future__ import annotations

from collections.abc import Callable

from brain.logs import Log

log: Log = Log("brain.store")


class Closable:
    """A store that calls others before it closes, such as those that have something left to read from it."""

    is_closed: bool = False
    """Whether `close` has been called."""

    def before_close(self, act: Callable[[], None]) -> None:
        """Call `act` when the store is about to close; what it raises is logged."""
        self.__dict__.setdefault("_acts", []).append(act)

    def _about_to_close(self) -> None:
        acts, self.__dict__["_acts"] = self.__dict__.get("_acts", []), []
        for act in acts:
            try:
                act()
            except Exception as error:
                log.exception("something failed while a store was closing", error=str(error))
        self.is_closed = True
