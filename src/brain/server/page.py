"""The page: its own files, and those of the plug-ins' views."""

from __future__ import annotations

from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route
from starlette.staticfiles import StaticFiles

from brain.plugins import plugins

STATIC = Path(__file__).parent / "static"
STATIC_PREFIX = "/static/"
PLUGIN_PREFIX = "/plugins/"


def mount_page(app: Starlette) -> None:
    """Serve the page, its files below /static/, and each plug-in's view below /plugins/<name>/.

    Raises InvalidInput when the folder of a view is not there.
    """
    app.router.routes.append(Route("/", _page))
    app.mount(STATIC_PREFIX, StaticFiles(directory=STATIC), name="static")
    for plugin in plugins().values():
        if plugin.view is not None:
            app.mount(PLUGIN_PREFIX + plugin.name, StaticFiles(directory=plugin.view.path()), name=plugin.name)


async def _page(request: Request) -> Response:
    return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})
