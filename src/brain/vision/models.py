"""Models: ONNX files of the settings, each used only once somebody approved the hash of its file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import sqlalchemy as sa
from msgspec import Meta

from brain.charter import EventType, Severity
from brain.errors import Conflict, InvalidInput, NotFound
from brain.kit import outbox
from brain.kit.database import reachable
from brain.kit.protocols import ThreatReport
from brain.kit.sql import insert_missing
from brain.vision import events
from brain.vision.records import CONSUMER
from brain.vision.settings import ModelSettings, VisionSettings
from brain.vision.tables import MODELS, make_tables

if TYPE_CHECKING:
    from brain.vision.detectors import Detector

TAMPERING = "model_tampering"
"""The type of the threat."""


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A model of the settings, as its file is now."""

    model: Annotated[str, Meta(description="Its name in the settings.")]
    file: str
    sha256: Annotated[str | None, Meta(description="Of its file now; null: it cannot be read.")]
    labels: list[str]
    approved_by: Annotated[str | None, Meta(description="Who approved this hash; null: cameras do not use it.")]


class Models:
    """The models of the settings. Every method blocks, and raises Unavailable. `clock` gives Unix seconds."""

    def __init__(self, settings: VisionSettings, database: sa.Engine, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._database = database
        self._clock = clock

    def list(self) -> list[Model]:
        """Each with the hash of its file, and whether that is approved."""
        found = []
        for name, one in sorted(self._settings.models.items()):
            sha256 = _digest(one)
            by = None if sha256 is None else self._approved_by(name, sha256)
            found.append(
                Model(model=name, file=one.file, sha256=sha256, labels=list(one.labels), approved_by=by),
            )
        return found

    def approve(self, name: str, sha256: str | None, by: str) -> Model:
        """Let cameras use the model's file as it is now. Raises Conflict when that has not the hash that was named."""
        settings = self._find(name)
        found = _digest(settings)
        if found is None:
            raise InvalidInput(f"model {name}: its file {settings.file} cannot be read")
        if sha256 is not None and found != sha256:
            raise Conflict(f"model {name}: its file has the SHA-256 {found}, and not {sha256[:64]}; look at it again")
        row = {"model": name, "sha256": found, "approved_by": by, "approved_at": self._clock()}

        def change(db: sa.Connection) -> None:
            insert_missing(db, MODELS, [row])
            self._put(db, events.MODEL_APPROVED, name, found, by)

        self._write(change)
        by = self._approved_by(name, found) or by
        return Model(model=name, file=settings.file, sha256=found, labels=list(settings.labels), approved_by=by)

    def load(self, name: str) -> Detector:
        """The model as a detector. Raises Conflict for a file that nobody approved, and MissingExtra."""
        from brain.vision.detectors import onnx_model

        return onnx_model(self._find(name), lambda sha256: self._check(name, sha256))

    def _check(self, name: str, sha256: str) -> None:
        by = self._approved_by(name, sha256)
        if by is not None:
            self._write(lambda db: self._put(db, events.MODEL_LOADED, name, sha256, by))
            return
        if self._approved_by(name, None) is not None:
            words = f"the file of model {name} is not the one that was approved; its SHA-256 is {sha256}"
            report = ThreatReport(TAMPERING, name, Severity.HIGH, words, sha256, {"model_id": name, "sha256": sha256})
            self._write(lambda db: outbox.put_threat(db, CONSUMER, report, self._clock()))
        line = f"brain vision models approve {name} --by NAME"
        raise Conflict(f"model {name}: nobody approved the file with the SHA-256 {sha256}; run: {line}")

    def _find(self, name: str) -> ModelSettings:
        if name not in self._settings.models:
            known = ", ".join(sorted(self._settings.models)) or "none"
            raise NotFound(f"no model has the name {name[:100]!r}; the settings have {known} ([vision.models.NAME])")
        return self._settings.models[name]

    def _approved_by(self, name: str, sha256: str | None) -> str | None:
        """Who approved this file, or any file, of the model."""
        query = sa.select(MODELS.c.approved_by).where(MODELS.c.model == name)
        query = query if sha256 is None else query.where(MODELS.c.sha256 == sha256)
        make_tables(self._database)
        with reachable(self._database), self._database.connect() as db:
            found: str | None = db.execute(query.limit(1)).scalar()
        return found

    def _put(self, db: sa.Connection, event: EventType[Any], name: str, sha256: str, by: str) -> None:
        labels = list(self._settings.models[name].labels[:20])
        payload = {"model_id": name, "sha256": sha256, "labels": labels, "by": by}
        outbox.put_event(db, CONSUMER, event.event(payload), self._clock())

    def _write(self, change: Callable[[sa.Connection], None]) -> None:
        make_tables(self._database)
        with reachable(self._database), self._database.begin() as db:
            change(db)


def _digest(model: ModelSettings) -> str | None:
    try:
        with Path(model.file).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
