"""What a plug-in declares, what it is given, and what it gives back.

What costs time to import is named as `"module:attribute"` and imported when it is needed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from brain.errors import InvalidInput
from brain.extras import IMPORT_FAULTS, import_fault, missing_extra

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from fastapi import APIRouter
    from prometheus_client.core import Metric
    from pydantic import BaseModel
    from sqlalchemy import Engine
    from starlette.types import ASGIApp

    from brain.charter import EventType
    from brain.settings import Settings
    from brain.store import Store
    from brain.stream import EventStream

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}").fullmatch

T = TypeVar("T")
M = TypeVar("M", bound="BaseModel")


SECTIONS = ("Now", "Respond", "Govern", "Operate")
"""The headings in the page's navigation."""


@dataclass(frozen=True)
class View:
    """A view on the page: its title, the folder in the package that holds `view.js`, and its section.

    `view.js` is an ES module that exports `show(element, api)`; docs/plugins.md describes `api`.
    """

    title: str
    folder: str
    """`"package:folder"`; its files are served below `/plugins/<name>/`."""
    section: str = "Operate"
    """Its heading in the page's navigation, one of SECTIONS."""

    def __post_init__(self) -> None:
        if self.section not in SECTIONS:
            raise InvalidInput(f"view {self.title!r}: section {self.section!r} is not one of {', '.join(SECTIONS)}")

    def path(self) -> Path:
        """The folder on the disk. Raises InvalidInput when it is not there, or has no `view.js`."""
        package, _, folder = self.folder.partition(":")
        try:
            spec = find_spec(package)
        except (ImportError, ValueError):
            spec = None
        for parent in (spec.submodule_search_locations or ()) if spec is not None else ():
            path = Path(parent, folder)
            if (path / "view.js").is_file():
                return path
        raise InvalidInput(f"view {self.title!r}: {self.folder!r} names no folder of a package with a view.js in it")


@dataclass(frozen=True)
class Command:
    """A command of `brain`: what is imported when it is run, and its line in `brain --help`."""

    reference: str
    """`"module:attribute"`: a typer.Typer for a group of commands, or a function for a single command."""
    help: str
    """One sentence."""


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """What a plug-in declares. Only `name` and `purpose` must be given."""

    name: str
    """Lower case; also the name of its settings table, of its consumer group (`brain.<name>`) and of its folder."""
    purpose: str
    """One sentence for the settings, the docs and `brain doctor`."""
    events: str | None = None
    """The module that declares its event types in `EVENTS`; a module `scenarios` beside it may describe their order."""
    settings: str | None = None
    """The pydantic model of its table in `brain.toml`, as `"module:Class"`; every field needs a default."""
    listens: tuple[str, ...] = ()
    """The patterns of the events that it consumes."""
    open: str | None = None
    """`"module:function"`: an async context manager that takes a PluginContext and gives a Component."""
    commands: Mapping[str, Command] = field(default_factory=dict)
    """Commands of `brain`, by name. One of two words, `ingest falco`, joins the group that the first one names."""
    provides: Mapping[str, str] = field(default_factory=dict)
    """What others may ask it for: the name of a protocol in `brain.kit.protocols`, and `"module:function"` that takes
    a PluginContext and gives an object that keeps to it."""
    files: str | None = None
    """`"module:function"` that takes the database's Engine and the Settings, and gives the files that belong to the
    plug-in's state, such as a key: by a name for each, its path. `brain backup` takes them along where they exist."""
    view: View | None = None
    formerly: tuple[str, ...] = ()
    """Its former names; settings under them are still read."""

    def __hash__(self) -> int:
        """By its name, which no other plug-in has."""
        return hash(self.name)

    def __post_init__(self) -> None:
        if not _NAME(self.name):
            raise InvalidInput(
                f"plug-in {self.name!r}: a name has at most 40 lower-case letters, digits and _, a letter first"
            )
        if not self.purpose.strip():
            raise InvalidInput(f"plug-in {self.name}: purpose is empty; say in one sentence what it is for")
        for fault in self._misshapen():
            raise InvalidInput(f"plug-in {self.name}: {fault}")

    def _misshapen(self) -> Iterator[str]:
        """What is not of its type, each with what to write: Python takes anything, and it would fail far from here."""
        for name in ("events", "settings", "open", "files"):
            if not isinstance(value := getattr(self, name), str | None):
                yield f"{name} is {value!r}; name it by a text, such as 'my_package.my_module:name'"
        for name in ("listens", "formerly"):
            value = getattr(self, name)
            if isinstance(value, str):
                yield f"{name} is the text {value!r}; write a tuple, with a comma: ({value!r},)"
            elif not all(isinstance(one, str) for one in value):
                yield f"{name} is {value!r}; write a tuple of texts"
        for name, command in self.commands.items():
            if not isinstance(command, Command):
                yield f"commands: {name!r} is {command!r}; write Command('my_package.my_module:app', 'One sentence.')"
        if not isinstance(self.view, View | None):
            yield f"view is {self.view!r}; write View('Title', 'my_package:folder')"

    @property
    def group(self) -> str:
        """The name of its consumer group, which nobody else may use."""
        return f"brain.{self.name}"

    @property
    def runs(self) -> bool:
        """Whether it has work of its own on the stream, so that `brain worker` can run it."""
        return bool(self.listens)

    def event_types(self) -> tuple[EventType[Any], ...]:
        """The event types that it declares. Raises InvalidInput when its module cannot be imported, or has others."""
        from brain.charter import EventType

        found = () if self.events is None else self._loaded("events", f"{self.events}:EVENTS")
        if not isinstance(found, Iterable) or (wrong := [one for one in found if not isinstance(one, EventType)]):
            shown = repr(wrong[0]) if isinstance(found, Iterable) else repr(found)
            raise InvalidInput(
                f"plug-in {self.name}: {self.events}:EVENTS has {shown}; give a tuple with an EventType for each type"
            )
        return tuple(found)

    def settings_model(self) -> type[BaseModel] | None:
        """The model of its settings table. Raises InvalidInput when it cannot be imported."""
        model: type[BaseModel] | None = None if self.settings is None else self._loaded("settings", self.settings)
        return model

    def opener(self) -> Callable[[PluginContext], AbstractAsyncContextManager[Component]] | None:
        """What opens it. Raises InvalidInput when it cannot be imported."""
        opener: Callable[[PluginContext], AbstractAsyncContextManager[Component]] | None = (
            None if self.open is None else self._loaded("open", self.open)
        )
        return opener

    def state_files(self, database: Engine, settings: Settings) -> Mapping[str, Path]:
        """The files that belong to its state, by name. Raises InvalidInput when what names them cannot be imported."""
        if self.files is None:
            return {}
        found: Mapping[str, Path] = self._loaded("files", self.files)(database, settings)
        return found

    def command(self, name: str) -> Any:
        """The command of that name: a typer.Typer or a function. Raises InvalidInput when it cannot be imported."""
        return self._loaded(f"commands.{name}", self.commands[name].reference)

    def provider(self, protocol: str) -> Callable[[PluginContext], Any]:
        """What makes the object that it provides for a protocol. Raises InvalidInput when it cannot be imported."""
        made: Callable[[PluginContext], Any] = self._loaded(f"provides.{protocol}", self.provides[protocol])
        return made

    def _loaded(self, where: str, reference: str) -> Any:
        module, _, attribute = reference.partition(":")
        try:
            return getattr(import_module(module), attribute)
        except IMPORT_FAULTS as error:
            if (missing := missing_extra(error, f"plug-in {self.name}: {where}")) is not None:
                raise missing from error
            raise InvalidInput(
                f"plug-in {self.name}: {where} names {reference!r}, which cannot be imported: {import_fault(error)}"
            ) from error


Quick = Callable[[bytes], bytes | None]
"""Answers a POST of `application/json` with 200 from its body alone, just as the route of its path would, on the event
loop; None leaves to the route whatever is unusual, and all that is refused.
"""


@dataclass(frozen=True)
class Routes:
    """Routes that are made at the first request for one of them, or for the OpenAPI document: to import FastAPI and the
    models of the API, and to build them, is most of a server's start and a third of its memory.
    """

    paths: tuple[str, ...]
    """All begin with one of these: `/weather` has `/weather` itself and what is below `/weather/`."""
    router: str
    """`"module:function"`: makes the APIRouter, once, in a thread."""
    given: tuple[Any, ...] = ()
    """What the function is called with."""

    def make(self) -> APIRouter:
        """The router. Raises what the import of the module and the function raise."""
        module, _, attribute = self.router.partition(":")
        made: APIRouter = getattr(import_module(module), attribute)(*self.given)
        return made


@dataclass(frozen=True)
class Component:
    """An opened plug-in: its routes, mounted below /api; its tasks, each run until cancelled and restarted when it
    ends; what it adds to `/metrics`, in a blocking call; its checks in `/readyz`, each a quick call that answers
    "ok" or the fault; by their whole paths below /api, the quick answers of POST routes that are asked very often;
    what it shows to people who have no key, below `/open/<name>/`: that checks by itself who may see and do what; and
    what ends the waits of its requests, called when the server begins to stop.
    """

    router: APIRouter | Routes | None = None
    tasks: Sequence[Callable[[], Coroutine[Any, Any, None]]] = ()
    metrics: Callable[[], Sequence[Metric]] | None = None
    checks: Mapping[str, Callable[[], str]] = field(default_factory=dict)
    quick: Mapping[str, Quick] = field(default_factory=dict)
    end_waits: Callable[[], None] | None = None
    open_page: ASGIApp | None = None

    def misshapen(self) -> Iterator[str]:
        """What is not of its type, each with what to write, as of a Plugin."""
        for name in ("metrics", "end_waits", "open_page"):
            if (value := getattr(self, name)) is not None and not callable(value):
                yield f"{name} is {value!r}; give what can be called"
        if not isinstance(self.tasks, Sequence) or not all(map(callable, self.tasks)):
            yield f"tasks is {self.tasks!r}; write a tuple of async functions, not called yet: (watch,)"
        for name in ("checks", "quick"):
            value = getattr(self, name)
            if not isinstance(value, Mapping) or not all(map(callable, value.values())):
                yield f"{name} is {value!r}; write a dictionary with a function for each name"
        if self.router is not None and not isinstance(self.router, Routes) and not hasattr(self.router, "routes"):
            yield f"router is {self.router!r}; give an APIRouter, or Routes that name what makes one"


@dataclass(frozen=True)
class PluginContext:
    """What a plug-in is given when it is opened."""

    stream: EventStream
    store: Store
    database: Engine
    """The consumers' tables, by SQLAlchemy."""
    settings: Settings
    plugins: Mapping[str, Plugin] = field(default_factory=dict)
    """The installed ones, by name."""

    def table(self, model: type[M]) -> M:
        """The plug-in's own settings. Raises InvalidInput when no installed plug-in has a table of this model."""
        return self.settings.table(model)

    def find(self, protocol: type[T]) -> T | None:
        """An object that keeps to this protocol of `brain.kit.protocols`, from the plug-in that provides it.

        Each call makes a new one. None when no installed plug-in provides it.
        """
        return next(self._provided(protocol), None)

    def find_all(self, protocol: type[T]) -> list[T]:
        """Such an object from each plug-in that provides it, for what several may, such as limits of movements."""
        return list(self._provided(protocol))

    def _provided(self, protocol: type[T]) -> Iterator[T]:
        for plugin in self.plugins.values():
            if protocol.__name__ in plugin.provides:
                made: T = plugin.provider(protocol.__name__)(self)
                yield made
