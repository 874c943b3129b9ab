"""Connectors as people work with them: listed, shown, paused, resumed, replayed, tested. Every method blocks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, Row, select

from brain.errors import Conflict, NotFound
from brain.kit.database import reachable, reading
from brain.links import outbound, receiving, repository, tables
from brain.links.announce import announce
from brain.links.events import HEALTH_CHECK
from brain.links.inbound import Inbound, inbound_connectors
from brain.links.models import Connector, ConnectorStatus, DeliveryState
from brain.links.receiving import Delivery, Receipt
from brain.links.registry import find_connector, list_connectors, own
from brain.links.settings import ConnectorSettings
from brain.links.tables import make_tables
from brain.settings import CoreSettings

REPLAYED = 1_000
"""Most deliveries of one call of `replay`."""


class ConnectorService:
    """Commands and queries over the tables of connectors; each command is one transaction for each thing it changes.

    `clock` gives Unix seconds. Every method raises Unavailable
    when the database does not answer.
    """

    def __init__(
        self,
        database: Engine,
        settings: CoreSettings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.database: Engine = database
        self.settings: ConnectorSettings = settings.table(ConnectorSettings)
        self.inbound: Mapping[str, Inbound] = inbound_connectors(self.settings)
        self.clock: Callable[[], float] = clock
        self._all_settings = settings
        self._is_ready = False

    def prepare(self) -> None:
        """Make the tables, and the rows of the connectors that the settings have."""
        if self._is_ready:
            return
        make_tables(self.database)
        with reachable(self.database), self.database.begin() as db:
            repository.register(db, own(self.settings), self.clock())
        self._is_ready = True

    def list(self) -> Sequence[Connector]:
        """Every connector, inbound ones first."""
        with self._reading() as db:
            return list_connectors(db, self._all_settings, self.clock())

    def get(self, name: str) -> Connector:
        """One connector. Raises NotFound."""
        with self._reading() as db:
            return find_connector(db, self._all_settings, name, self.clock())

    def deliveries(self, name: str, state: DeliveryState | None, limit: int) -> Sequence[Row[Any]]:
        """The deliveries that are kept, the latest first, without their bodies. Raises NotFound."""
        self._find_inbound(name)
        table = tables.deliveries
        columns = [column for column in table.c if column.name != "body"]
        query = select(*columns).where(table.c.connector == name).order_by(table.c.id.desc()).limit(limit)
        if state is not None:
            query = query.where(table.c.state == state.value)
        with self._reading() as db:
            return db.execute(query).all()

    def delivery(self, name: str, number: int) -> Row[Any]:
        """One delivery with its body. Raises NotFound."""
        self._find_inbound(name)
        with self._reading() as db:
            return repository.delivery(db, name, number)

    def receive(self, name: str, delivery: Delivery) -> Receipt:
        """Keep and map a delivery whose signature fits. Raises NotFound."""
        with self._writing() as db:
            return receiving.receive(db, self._find_inbound(name), delivery)

    def pause(self, name: str, by: str | None, reason: str) -> Connector:
        """Pause a connector: what comes is kept, and nothing is sent. Raises NotFound and Conflict."""
        self.check_own(name)
        with self._writing() as db:
            repository.pause(db, name, by, reason, self.clock())
        return self.get(name)

    def resume(self, name: str, by: str | None) -> Connector:
        """Resume a connector, and map what came meanwhile. Raises NotFound and Conflict."""
        self.check_own(name)
        with self._writing() as db:
            repository.resume(db, name, by, self.clock())
        if name in self.inbound:
            self.replay(name, (DeliveryState.WAITING,))
        return self.get(name)

    def replay(
        self, name: str, states: Sequence[DeliveryState], since: float = 0.0, again: bool = False
    ) -> Sequence[Receipt]:
        """Map kept deliveries once more, by the mapping of now. `again`: also what has become events already.

        At most REPLAYED of them, the oldest first. Raises NotFound, and Conflict for a paused connector.
        """
        inbound = self._find_inbound(name)
        with self._writing() as db:
            if repository.find(db, name).paused:
                raise Conflict(f"connector {name!r}: is paused; resume it first")
            numbers = receiving.waiting(db, name, states, since, REPLAYED)
        receipts = []
        for number in numbers:
            with self._writing() as db:
                receipts.append(receiving.remap(db, inbound, number, self.clock(), again))
        return receipts

    def replay_one(self, name: str, number: int, again: bool) -> Receipt:
        """The same for one delivery. Raises NotFound."""
        with self._writing() as db:
            return receiving.remap(db, self._find_inbound(name), number, self.clock(), again)

    def enqueue(self, name: str, message: Mapping[str, Any], key: str | None) -> str:
        """Put a message that the policy has let pass into the outbox; its id. Raises NotFound and Conflict."""
        if name not in self.settings.outbound:
            raise NotFound(f"connector {name!r}: is none that sends; [connectors.outbound] lists those that do")
        with self._writing() as db:
            return outbound.enqueue(db, name, message, key, self.clock())

    def tested(self, name: str, error: str | None, detail: str, latency_ms: float | None) -> ConnectorStatus:
        """Keep and announce the result of a test. Raises NotFound."""
        now, status = self.clock(), ConnectorStatus.OK if error is None else ConnectorStatus.ERROR
        with self._writing() as db:
            row = repository.find(db, name, lock=True)
            repository.set_status(db, row, status, error or detail, now)
            payload = {
                "connector_id": name,
                "status": status.value,
                "detail": error or detail,
                "latency_ms": latency_ms,
                "checked_at": now,
            }
            announce(db, HEALTH_CHECK, payload, now)
        return status

    def _find_inbound(self, name: str) -> Inbound:
        if name not in self.inbound:
            raise NotFound(f"connector {name!r}: is none that receives; [connectors.inbound] lists those that do")
        return self.inbound[name]

    def check_own(self, name: str) -> None:
        """Raise NotFound for no connector, Conflict for one of another plug-in."""
        if name in self.settings.inbound or name in self.settings.outbound:
            return
        origin = self.get(name).id.origin
        raise Conflict(f"connector {name!r}: is set up in [{origin}], whose plug-in sends through it; change it there")

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        make_tables(self.database)
        with reachable(self.database), reading(self.database).begin() as db:
            yield db

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """A transaction; afterwards its events are shipped."""
        self.prepare()
        with reachable(self.database), self.database.begin() as db:
            yield db
