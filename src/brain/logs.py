"""Structured logs on standard error: readable on a terminal, one JSON object a line elsewhere."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from structlog.typing import Processor

unwritten = 0
"""Log records that could not be written: where there is no room for an event there may be none for the log either."""

_pending = False
"""Whether logs are to be set up before the first line."""


class Log:
    """A structlog logger whose failing is counted in `unwritten` and never raised into the code that logs."""

    def __init__(self, name: str) -> None:
        self._name = name

    def debug(self, message: str, **values: Any) -> None:
        """Log a detail for developers."""
        self._write("debug", message, values)

    def info(self, message: str, **values: Any) -> None:
        """Log a normal step."""
        self._write("info", message, values)

    def warning(self, message: str, **values: Any) -> None:
        """Log a fault that was handled and deserves a look."""
        self._write("warning", message, values)

    def error(self, message: str, **values: Any) -> None:
        """Log that something was not done."""
        self._write("error", message, values)

    def exception(self, message: str, **values: Any) -> None:
        """Log as `error` does, with the exception that is being handled."""
        self._write("exception", message, values)

    def _write(self, method: str, message: str, values: dict[str, Any]) -> None:
        global unwritten
        try:
            structlog = load()
            if _writes_to_standard_output(structlog):  # asked each time: a program may configure late, and take it back
                logger = structlog.wrap_logger(structlog.PrintLogger(sys.stderr), processors=_processors(structlog))
            else:
                logger = structlog.get_logger(self._name)
            getattr(logger, method)(message, **values)
        except Exception:  # noqa: BLE001  (there is nowhere left to say it; counted)
            unwritten += 1


def load() -> ModuleType:
    """Import structlog now, and set it up when `configure_when_needed` asked for that. It takes 0.3 s."""
    import structlog

    if _pending:
        configure_logs()
    return structlog


def _writes_to_standard_output(structlog: ModuleType) -> bool:
    """Whether nobody has said where log lines go: structlog then writes to standard output, which is for results.

    `structlog.is_configured()` does not tell: it stays true after `structlog.testing.capture_logs()`.
    """
    factory = structlog.get_config()["logger_factory"]
    return isinstance(factory, structlog.PrintLoggerFactory) and getattr(factory, "_file", sys.stdout) is None


def _processors(structlog: ModuleType) -> list[Processor]:
    """Those in force, with plain tracebacks in place of structlog's own.

    Its own show every local variable, and with them keys and passwords, and take a second each.
    """
    return [_plain(structlog, one) for one in structlog.get_config()["processors"]]


def _plain(structlog: ModuleType, processor: Processor) -> Processor:
    formatter = getattr(processor, "exception_formatter", getattr(processor, "_exception_formatter", None))
    if not getattr(formatter, "show_locals", False):
        return processor
    renderer: Processor = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    return renderer


_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure_logs(level: str = "warning", form: str = "auto") -> None:
    """Send structlog's and the standard library's records of at least `level` to standard error.

    `form` is console, json, or auto: console when standard error is a terminal. Standard output is for results only.
    """
    global _pending
    _pending = False
    structlog = load()
    console = sys.stderr.isatty() if form == "auto" else form == "console"
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    ending: list[Processor] = (
        [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)]
        if console
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = _StandardError()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS[level])
    for chatty in ("uvicorn", "httpx", "httpcore", "asyncio"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, _LEVELS[level]))


def configure_when_needed() -> None:
    """Set logs up as `configure_logs()` does, but not before the first line: commands that log nothing start sooner."""
    global _pending
    if "structlog" in sys.modules:
        configure_logs()
        return
    _pending = True
    logging.getLogger().handlers[:] = [_FirstLine()]


class _StandardError(logging.Handler):
    """Writes to what standard error is at that moment: a host, or a test, may put another in its place."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record as one line."""
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except Exception:  # noqa: BLE001  (logging's own way: said on standard error where there is one)
            self.handleError(record)


class _FirstLine(logging.Handler):
    """Sets logs up when a library logs, and passes the record on."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record as it will be written from now on."""
        configure_logs()
        for handler in logging.getLogger().handlers:
            handler.handle(record)


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
