"""The contract for plug-ins, and the check of a declaration that authors call."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypedDict

import pytest
from pydantic import BaseModel, ConfigDict

from brain import EventType, Frequency, InvalidInput, Priority
from brain.errors import Unavailable
from brain.kit.protocols import required_guard
from brain.plugins import Command, Component, Plugin, PluginContext, View, plugins
from brain.settings import check_tables
from brain.testing import check_plugin


class Payload(TypedDict):
    station: str


def event_type(name: str, example: Any = None) -> EventType[Payload]:
    shown = {"station": "north"} if example is None else example
    return EventType(name, "weather", Payload, Priority.HIGH, Frequency.LOW, "The wind.", shown)


class Loose(BaseModel):
    storm_at: float


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")

    storm_at: float = 24.5


@asynccontextmanager
async def opens(context: PluginContext) -> AsyncIterator[Component]:
    assert context.table(Strict).storm_at == 24.5
    yield Component(checks={"weather": lambda: "ok"})


@asynccontextmanager
async def fails(context: PluginContext) -> AsyncIterator[Component]:
    raise RuntimeError("no barometer")
    yield


@asynccontextmanager
async def answers_none(context: PluginContext) -> AsyncIterator[Component]:
    yield Component(checks={"weather": lambda: None})  # type: ignore[dict-item, return-value]


def opens_nothing(context: PluginContext) -> int:
    return 3


@asynccontextmanager
async def yields_nothing(context: PluginContext) -> AsyncIterator[None]:
    yield


EVENTS = [event_type("weather.wind_measured")]


@pytest.fixture(autouse=True)
def as_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """This file under a name that a declaration can give."""
    monkeypatch.setitem(sys.modules, "weather_declared", sys.modules[__name__])


def weather(**declared: Any) -> Plugin:
    """A sound plug-in that is not installed, with these fields otherwise."""
    sound: dict[str, Any] = {"events": "weather_declared", "settings": "weather_declared:Strict"}
    sound |= {"open": "weather_declared:opens", "listens": ("weather.*",)}
    return Plugin(**{"name": "weather", "purpose": "Warns of storms.", **sound, **declared})


@pytest.mark.parametrize("name", plugins())
def test_every_installed_plugin_is_sound(name: str) -> None:
    plugin = plugins()[name]
    check_plugin(plugin)
    assert plugin.name == name


def test_a_plugin_that_is_not_installed_can_be_checked() -> None:
    check_plugin(weather())


@pytest.mark.parametrize(
    ("declared", "fault"),
    [
        ({"events": "weather_declared.no"}, "events names 'weather_declared.no:EVENTS', which cannot be imported"),
        ({"settings": "weather_declared:No"}, "settings names 'weather_declared:No', which cannot be imported"),
        ({"settings": "weather_declared:Loose"}, "weather_declared:Loose has no usable default for storm_at"),
        ({"settings": "weather_declared:Loose"}, "weather_declared:Loose takes unknown names"),
        ({"open": "weather_declared:no"}, "open names 'weather_declared:no', which cannot be imported"),
        ({"open": "weather_declared:fails"}, "open: weather_declared:fails raised RuntimeError: no barometer"),
        ({"open": "weather_declared:answers_none"}, "the check 'weather' answers None, not a text"),
        ({"open": "weather_declared:opens_nothing"}, "opens_nothing gives 3; put @asynccontextmanager above it"),
        ({"open": "weather_declared:yields_nothing"}, "yields_nothing yields None; yield a brain.plugins.Component"),
        ({"open": None}, "listens: events are wanted, but open names nothing that consumes them"),
        ({"listens": ("Weather storms",)}, "Weather storms"),
        ({"commands": {"wind": Command("weather_declared:no", "Wind.")}}, "commands.wind names"),
        ({"commands": {"threats": Command("weather_declared:weather", "x.")}}, "belongs to the plug-in threats"),
        ({"provides": {"Wind": "weather_declared:no"}}, "provides.Wind names"),
        ({"view": View("Weather", "brain:no")}, "names no folder of a package with a view.js in it"),
        ({"view": View("Weather", "no_such_package:page")}, "names no folder of a package with a view.js in it"),
        ({"formerly": ("audit",)}, "'audit' is a name of the plug-in audit too"),
        ({"name": "port"}, "a setting is called 'port' already"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_each_fault_is_named(declared: dict[str, Any], fault: str) -> None:
    with pytest.raises(AssertionError) as caught:
        check_plugin(weather(**declared))
    assert fault in str(caught.value)


@pytest.mark.parametrize(
    ("events", "fault"),
    [
        ([event_type("threat.detected")], "threat.detected belongs to the plug-in threats"),
        ([*EVENTS, *EVENTS], "weather.wind_measured is declared twice"),
        ([event_type("weather.wind_measured", {"station": 7})], "payload of weather.wind_measured"),
        ([event_type("Weather")], "type"),
        ([*EVENTS, "weather.storm"], "weather_declared:EVENTS has 'weather.storm'; give a tuple with an EventType"),
        (7, "weather_declared:EVENTS has 7; give a tuple with an EventType for each type"),
    ],
    ids=["another's", "twice", "example", "name", "text", "number"],
)
def test_faults_of_events_are_named(monkeypatch: pytest.MonkeyPatch, events: Any, fault: str) -> None:
    monkeypatch.setattr(sys.modules[__name__], "EVENTS", events)
    with pytest.raises(AssertionError) as caught:
        check_plugin(weather())
    assert fault in str(caught.value)


@pytest.mark.parametrize(
    ("declared", "fault"),
    [
        ({"name": "Weather"}, "plug-in 'Weather': a name has at most 40 lower-case letters"),
        ({"name": "weather", "purpose": " "}, "plug-in weather: purpose is empty"),
    ],
)
def test_a_declaration_without_a_usable_name_or_purpose_is_refused(declared: dict[str, str], fault: str) -> None:
    with pytest.raises(InvalidInput, match=fault):
        Plugin(**{"purpose": "Warns of storms.", **declared})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("declared", "fault"),
    [
        ({"listens": "weather.*"}, "listens is the text 'weather.*'; write a tuple, with a comma: ('weather.*',)"),
        ({"listens": (7,)}, "listens is (7,); write a tuple of texts"),
        ({"formerly": "wind"}, "formerly is the text 'wind'; write a tuple, with a comma: ('wind',)"),
        ({"settings": Strict}, "settings is <class '"),
        ({"open": opens}, "name it by a text, such as 'my_package.my_module:name'"),
        ({"commands": {"wind": "weather:app"}}, "commands: 'wind' is 'weather:app'; write Command("),
        ({"view": "weather:page"}, "view is 'weather:page'; write View('Title', 'my_package:folder')"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_field_of_another_type_is_refused_where_it_is_declared(declared: dict[str, Any], fault: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        weather(**declared)
    assert str(refused.value).startswith("plug-in weather: ")
    assert fault in str(refused.value)


def test_a_table_that_is_no_model_is_named() -> None:
    with pytest.raises(InvalidInput, match=r"weather: weather_declared:opens is <function .*; make it a pydantic Base"):
        check_tables([weather(settings="weather_declared:opens")])


def test_a_view_stands_in_a_section_of_the_page() -> None:
    with pytest.raises(InvalidInput, match="section 'Weather' is not one of Now, Respond, Govern, Operate"):
        View("Weather", "brain_weather:page", section="Weather")


def test_the_folder_of_a_view_is_found_without_importing_what_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lightly" / "page").mkdir(parents=True)
    (tmp_path / "lightly" / "__init__.py").write_text("raise RuntimeError('imported')")
    (tmp_path / "lightly" / "page" / "view.js").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    assert View("Lightly", "lightly:page").path() == tmp_path / "lightly" / "page"


def test_where_nothing_decides_nobody_may() -> None:
    with pytest.raises(Unavailable, match=r"hardware\.clear_stop: no installed plug-in decides on it .*; install one"):
        required_guard(None, "hardware.clear_stop")
