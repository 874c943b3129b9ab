"""`GET /api/plugins`: the installed plug-ins, from which the page makes its navigation."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter
from pydantic import BaseModel, Field

from brain.plugins import Plugin, plugins
from brain.server.page import PLUGIN_PREFIX


class ViewEntry(BaseModel):
    """A plug-in's view on the page."""

    title: str = Field(description="Its title, in the navigation too", examples=["Weather"])
    section: str = Field(description="Its heading in the navigation", examples=["Operate"])
    script: str = Field(description="Where its view.js is served", examples=["/plugins/weather/view.js"])


class PluginEntry(BaseModel):
    """An installed plug-in."""

    name: str = Field(examples=["weather"])
    purpose: str = Field(description="What it is for, in one sentence", examples=["Warns of storms."])
    event_types: list[str] = Field(description="The event types that it declares", examples=[["weather.storm_seen"]])
    listens: list[str] = Field(description="The patterns of the events that it consumes", examples=[["weather.*"]])
    group: str | None = Field(
        description="The consumer group it consumes them with; null for one that consumes nothing",
        examples=["brain.weather"],
    )
    runs_here: bool = Field(description="Whether this server runs its tasks; false when they are left to brain worker")
    view: ViewEntry | None = Field(description="Its view on the page; null for one without")


def plugins_router(runs_here: Callable[[Plugin], bool]) -> APIRouter:
    """The route `GET /api/plugins`; `runs_here` says whether this server runs a plug-in's tasks."""
    router = APIRouter(tags=["plugins"])

    @router.get("/plugins", summary="List the installed plug-ins")
    async def list_plugins() -> list[PluginEntry]:
        """By name."""
        return [_entry(plugin, runs_here(plugin)) for plugin in plugins().values()]

    return router


def _entry(plugin: Plugin, runs_here: bool) -> PluginEntry:
    view = plugin.view
    script = f"{PLUGIN_PREFIX}{plugin.name}/view.js"
    return PluginEntry(
        name=plugin.name,
        purpose=plugin.purpose,
        event_types=[declared.name for declared in plugin.event_types()],
        listens=list(plugin.listens),
        group=plugin.group if plugin.runs else None,
        runs_here=runs_here,
        view=None if view is None else ViewEntry(title=view.title, section=view.section, script=script),
    )
