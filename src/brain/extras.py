"""Which packages each extra of this one brings, and what is said where one of them is missing.

`pip install brain-eventstream` brings what guards, rules, threats, health and the stream on SQLite need. All else
imports its packages where it uses them; the ways in do so inside `with needs(...)`. Readers see docs/install.md.
"""

from __future__ import annotations

from collections.abc import Mapping

from brain.errors import MissingExtra

EXTRAS: Mapping[str, tuple[str, ...]] = {
    "server": (
        "fastapi",
        "starlette",
        "uvicorn",
        "pydantic",
        "pydantic_core",
        "pydantic_settings",
        "sqlalchemy",
        "prometheus_client",
        "cryptography",
    ),
    "cli": ("typer", "rich"),
    "connectors": ("httpx", "aiosmtplib"),
    "redis": ("redis",),
    "yaml": ("yaml",),
    "fast": ("httptools", "uvloop"),
    "postgres": ("psycopg",),
    "mcp": ("mcp", "jsonschema"),
    "otlp": ("opentelemetry",),
    "parquet": ("pyarrow",),
    "apprise": ("apprise",),
    "oidc": ("joserfc",),
    "vda5050": ("rfc3339_validator",),
    "cloudevents": ("cloudevents",),
    "hardware": ("psutil",),
    "gpu": ("pynvml",),
    "gpio": ("gpiozero",),
    "dna": ("optuna", "cmaes"),
    "detections": ("sigma",),
    "telemetry": ("websockets", "mcap", "mcap_ros2"),
    "robots": ("rosbags", "zenoh", "numpy"),
    "vision": ("av", "cv2", "onnxruntime"),
    "foxglove": ("foxglove",),
}
"""By extra: the packages that it brings, as they are imported. Each is listed once, under the extra that is named."""

_EXTRA_OF = {package: extra for extra, packages in EXTRAS.items() for package in packages}


def pip_line(*extras: str) -> str:
    """What to type to install the package with these extras."""
    return f"pip install 'brain-eventstream[{','.join(extras)}]'"


def missing_extra(error: BaseException, what: str, extra: str | None = None) -> MissingExtra | None:
    """The error that names the pip line, for an ImportError about a package of an extra; None for any other error.

    `what` is what cannot be done without it. `extra` is the one to name, also for a package that is there and broken.
    """
    if isinstance(error, MissingExtra):
        return MissingExtra(str(error))  # not itself, which cannot be its own cause
    if not isinstance(error, ImportError):
        return None
    known = _EXTRA_OF.get((error.name or "").partition(".")[0])
    if isinstance(error, ModuleNotFoundError) and known is not None:
        return _missing(what, str(error.name), extra or known)
    if extra is None:
        return None
    return MissingExtra(f"{what}: an import failed: {error}; run: {pip_line(extra)}")


IMPORT_FAULTS = (Exception, SystemExit)
"""What an import of another's module may raise; the last is raised by a script that takes itself for the program."""


def import_fault(error: BaseException) -> str:
    """The words for what such an import raised."""
    if isinstance(error, SystemExit):
        return f"it ends the process at its import (SystemExit: {error})"
    return str(error) or type(error).__name__


def _missing(what: str, package: str, *extras: str) -> MissingExtra:
    return MissingExtra(f"{what} needs {package}, which is not installed; run: {pip_line(*extras)}")


def require_extras(what: str, *extras: str) -> None:
    """Raise MissingExtra, which says what needs them, unless every package of the extras is installed."""
    for package in (package for extra in extras for package in EXTRAS[extra]):
        if not is_installed(package):
            raise _missing(what, package, *extras)


def is_installed(package: str) -> bool:
    """Whether the package can be imported."""
    from importlib.util import find_spec

    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):  # an import hook's refusal; a stand-in without a specification
        return False


class _Needs:
    """Not made by `contextlib`: `import brain` has no other use for that."""

    __slots__ = ("_extra", "_what")

    def __init__(self, what: str, extra: str | None) -> None:
        self._what = what
        self._extra = extra

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is not None and (missing := missing_extra(error, self._what, self._extra)) is not None:
            raise missing from error


def needs(what: str, extra: str | None = None) -> _Needs:
    """Around imports from other packages, and of what imports them. Raises MissingExtra as `missing_extra` makes it."""
    return _Needs(what, extra)
