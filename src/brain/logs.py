"""Log lines: handed to the standard library's `logging`, under names that begin with `brain.`.

The program decides what becomes of them, by `logging` alone; nothing here adds a handler or sets a level. In a program
that sets up nothing, Python writes warnings and errors to standard error. The `brain` command sets up its own output.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from brain.neutral import plain_text, printable
from brain.redaction import redacted, redacted_text

unwritten: int = 0
"""Log records that could not be written: where there is no room for an event there may be none for the log either."""

_is_command = False
"""Whether this process is the `brain` command, and its logs are set up here."""

CHATTY = ("uvicorn", "httpx", "httpcore", "asyncio")
"""Loggers of others, of which the `brain` command shows warnings and errors alone."""

KIND_LINES = 200
"""So many lines of one kind the `brain` command writes in `KIND_SECONDS`; how many more there were it says later."""
KIND_SECONDS = 10.0
KINDS = 1_000

_PLAIN = (str, int, float, bool, type(None))


class Log:
    """A logger with named values, whose failing is counted in `unwritten` and never raised into the code that logs.

    A record's text is the message with its values behind it; `record.brain` has them by name, and the bare message as
    `event`. A traceback is a part of the text, and `exception` of `record.brain`: no formatter can lose it, or show the
    local variables of our functions, which may be secrets.
    """

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, message: str, **values: Any) -> None:
        """Log a detail for developers."""
        self._write(logging.DEBUG, message, values)

    def info(self, message: str, **values: Any) -> None:
        """Log a normal step, or that something has got over a fault by itself."""
        self._write(logging.INFO, message, values)

    def warning(self, message: str, **values: Any) -> None:
        """Log a fault that was handled and deserves a look."""
        self._write(logging.WARNING, message, values)

    def error(self, message: str, *, raised: BaseException | None = None, **values: Any) -> None:
        """Log that something was not done, or lost; with the traceback of what was `raised`."""
        self._write(logging.ERROR, message, values, raised)

    def exception(self, message: str, **values: Any) -> None:
        """Log as `error` does, with the exception that is being handled."""
        self._write(logging.ERROR, message, values, sys.exc_info()[1])

    def _write(self, level: int, message: str, values: Mapping[str, Any], raised: BaseException | None = None) -> None:
        global unwritten
        logger = self._logger
        # `logging.config` disables every logger that a configuration does not name: not meant for these.
        logger.disabled = False
        try:
            if not logger.isEnabledFor(level):
                return
            known = {name: value if type(value) in _PLAIN else str(value) for name, value in values.items()}
            known, message = redacted(known), redacted_text(message)
            shown = {name: _shown(value) for name, value in known.items()}
            text = message.replace("%", "%%") if known or raised is not None else message
            text = " ".join([f"{text}:" if known else text, *(f"{name}=%({name})s" for name in known)])
            if raised is not None:
                known["exception"] = shown["exception"] = redacted_text(
                    "".join(traceback.format_exception(raised)).rstrip()
                )
                text += "\n%(exception)s"
            record = {"brain": {"event": message, **known}}
            logger.log(level, text, *([shown] if shown else ()), extra=record, stacklevel=3)
        except Exception:  # noqa: BLE001  (there is nowhere left to say it; counted)
            unwritten += 1


def _shown(value: object) -> str:
    """As the text has it: in quotes, on one line, where it would not be one word."""
    text = str(value)
    return text if text.isprintable() and text and not {" ", "'", '"'} & {*text} else repr(text)


def configure_logs(level: str = "warning", form: str = "auto") -> None:
    """Send all records of at least `level` to standard error: for the `brain` command, whose process is its own.

    `form` is console, json, or auto: console when standard error is a terminal. Standard output is for results only.
    """
    global _is_command
    is_terminal = sys.stderr.isatty()
    handler = _StandardError()
    handler.setFormatter(
        _ConsoleLines(colours=is_terminal and os.name == "posix" and "NO_COLOR" not in os.environ)
        if form == "console" or (form == "auto" and is_terminal)
        else _JSONLines()
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    least = logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(least)
    for chatty in CHATTY:
        logging.getLogger(chatty).setLevel(max(logging.WARNING, least))
    _is_command = True
    include_structlog()


def include_structlog() -> None:
    """In the `brain` command, send what plug-ins log by structlog the same way, not to standard output."""
    structlog = sys.modules.get("structlog")
    if _is_command and structlog is not None and not structlog.is_configured():
        structlog.configure(
            processors=[structlog.stdlib.filter_by_level, _for_logging],
            logger_factory=structlog.stdlib.LoggerFactory(),
            cache_logger_on_first_use=False,
        )


def _for_logging(_logger: object, _method: str, values: dict[str, Any]) -> tuple[tuple[str], dict[str, Any]]:
    """For structlog: the arguments of the call of `logging` that is to be made."""
    raised, event = values.pop("exc_info", None), str(values.pop("event", ""))
    return (event,), {"exc_info": raised, "extra": {"brain": {"event": event, **values}}}


def _fields(formatter: logging.Formatter, record: logging.LogRecord) -> dict[str, Any]:
    """What the record says, ours or another's: `event`, and its values by name."""
    found = dict(redacted(getattr(record, "brain", None) or {"event": record.getMessage()}))
    if record.exc_info:
        found["exception"] = redacted_text(formatter.formatException(record.exc_info))
    at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")
    return {**found, "logger": record.name, "level": record.levelname.lower(), "timestamp": at.replace("+00:00", "Z")}


class _JSONLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as such a line."""
        return json.dumps(_fields(self, record), default=str).replace("\x7f", "\\u007f")


_COLOURS = {"debug": 36, "info": 32, "warning": 33, "error": 31, "critical": 31}


class _ConsoleLines(logging.Formatter):
    """Lines for people."""

    def __init__(self, *, colours: bool) -> None:
        super().__init__()
        self._colours = colours

    def format(self, record: logging.LogRecord) -> str:
        """The record as such a line, with its traceback below."""
        fields = _fields(self, record)
        at, level, name, event = (fields.pop(key) for key in ("timestamp", "level", "logger", "event"))
        trace = fields.pop("exception", None)
        known = _COLOURS.get(level) if self._colours else None
        word = f"\x1b[{known}m{level:<9}\x1b[0m" if known else f"{level:<9}"
        values = "".join(f" {key}={_shown(value)}" for key, value in fields.items())
        return f"{at} [{word}] {printable(event):<30} [{name}]{values}" + (f"\n{plain_text(trace)}" if trace else "")


class _EachKind:
    """How many lines of each kind were written lately: a hostile client must not fill the disk with log.

    Lines of one kind have the same logger and the same text, values aside.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lately: dict[tuple[str, str], list[float]] = {}  # when it began, lines written since, lines left out

    def admit(self, record: logging.LogRecord) -> int | None:
        """None to leave the record out; else how many of its kind were left out before it."""
        values = getattr(record, "brain", None)
        kind = record.name, str(values["event"] if values else record.msg)[:200]
        now = self._clock()
        began, written, left_out = self._lately.get(kind, (-KIND_SECONDS, 0, 0))
        if now - began >= KIND_SECONDS:
            if kind not in self._lately and len(self._lately) >= KINDS:
                self._lately = {one: of for one, of in self._lately.items() if now - of[0] < KIND_SECONDS}
            self._lately[kind] = [now, 1, 0]
            return int(left_out)
        if written >= KIND_LINES:
            self._lately[kind][2] += 1
            return None
        self._lately[kind][1] += 1
        return 0


class _StandardError(logging.Handler):
    """Writes to what standard error is at that moment: a host, or a test, may put another in its place."""

    def __init__(self) -> None:
        super().__init__()
        self._kinds = _EachKind()

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record as one line, unless there were too many of its kind."""
        left_out = self._kinds.admit(record)
        if left_out is None:
            return
        if left_out:
            said = {
                "event": "log lines of one kind were left out",
                "count": left_out,
                "like": record.getMessage()[:200],
            }
            self._write(logging.makeLogRecord({**record.__dict__, "exc_info": None, "brain": said}))
        self._write(record)

    def _write(self, record: logging.LogRecord) -> None:
        global unwritten
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except Exception:  # noqa: BLE001  (logging's own way: said on standard error where there is one)
            unwritten += 1
            self.handleError(record)


@contextmanager
def overheard(*loggers: str) -> Iterator[list[str]]:
    """What libraries log by these names inside the block: collected, oldest first, and written nowhere."""
    heard: list[str] = []
    handler = _Collecting(heard)
    kept = [(found, found.handlers[:], found.propagate) for found in map(logging.getLogger, loggers)]
    for found, _, _ in kept:
        found.handlers[:], found.propagate = [handler], False
    try:
        yield heard
    finally:
        for found, handlers, propagate in kept:
            found.handlers[:], found.propagate = handlers, propagate


class _Collecting(logging.Handler):
    def __init__(self, into: list[str]) -> None:
        super().__init__()
        self._into = into

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record's text."""
        self._into.append(record.getMessage())
