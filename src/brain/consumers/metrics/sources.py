"""Where `brain metrics verify` recounts from: the stream."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, RowMapping, select

from brain.charter import Event
from brain.consumers.metrics.work import GROUP
from brain.consumers.projection import POSITIONS, REMEMBERED
from brain.errors import EnvelopeError, NotFound
from brain.logs import Log
from brain.stream.backends import Backend, position_key

log = Log("brain.metrics")

_PAGE = 2000


class StreamSource:
    """The events that the stream still keeps, up to where the projection stood in `stored`.

    Raises NotFound when the projection has not begun.
    """

    same_positions = True

    def __init__(self, backend: Backend, stored: Connection) -> None:
        self._backend = backend
        self._until = projected_to(stored)
        oldest = backend.read("", 1, GROUP)
        self._from = position_key(oldest[0].position if oldest else backend.tail())

    def events(self) -> Iterator[tuple[str, Event]]:
        """Every event once, as the projection takes them: one that comes again within REMEMBERED is left out."""
        until = position_key(self._until)
        seen: dict[str, None] = {}
        after = ""
        while entries := self._backend.read(after, _PAGE, GROUP):
            for position, data in entries:
                if position_key(position) > until:
                    return
                try:
                    event = Event.decode(data)
                except EnvelopeError as error:
                    log.warning("stored bytes are not an event", position=position, error=str(error))
                    continue
                if event.id not in seen:
                    seen[event.id] = None
                    yield position, event
            while len(seen) > REMEMBERED:
                del seen[next(iter(seen))]
            after = entries[-1].position

    def has_bucket(self, step: int, bucket: int, first_position: str) -> bool:
        """Whether the stream still holds the first event that the bucket depends on."""
        return position_key(first_position) >= self._from

    def has_threat(self, row: RowMapping) -> bool:
        """Whether the stream still holds the threat's first event."""
        return position_key(row["first_position"]) >= self._from

    def has_health_event(self, row: RowMapping) -> bool:
        """Whether the stream still holds the health event."""
        return position_key(row["position"]) >= self._from


def projected_to(stored: Connection) -> str:
    """The position up to which events are counted. Raises NotFound when nothing is."""
    position = stored.execute(select(POSITIONS.c.position).where(POSITIONS.c.name == GROUP)).scalar_one_or_none()
    if position is None:
        raise NotFound("no metrics have been kept yet; run `brain serve` or `brain worker metrics`")
    return str(position)
