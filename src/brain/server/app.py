"""The HTTP server put together: plug-ins, event stream, page, security, errors.

    app = create_app(stream, store, settings)

The caller opens the stream and the store and closes them after the app; the app's lifespan opens the installed plug-ins
and runs their tasks and the stream's consumers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version
from pathlib import Path

from fastapi import APIRouter, FastAPI
from prometheus_client.core import Metric
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from brain.kit.context import open_plugin, plugin_context
from brain.plugins import plugins
from brain.server import openapi, problems
from brain.server.body import BodyReader
from brain.server.correlation import Correlation
from brain.server.events import events_router
from brain.server.groups import groups_router
from brain.server.health import first_of, health_router
from brain.server.live import Live, live_router
from brain.server.paths import KnownParameters, Paths
from brain.server.security import Guard, Sessions, check_exposure, login_routes
from brain.server.unreadable import NamesUnreadable
from brain.settings import Settings
from brain.store import Store
from brain.stream import EventStream
from brain.stream.retention import keep
from brain.stream.tasks import RestartingTask

STATIC = Path(__file__).parent / "static"

_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def create_app(stream: EventStream, store: Store, settings: Settings | None = None) -> FastAPI:
    """The ASGI application over an open stream and store.

    Raises InvalidInput when `settings` would expose the server without an API key. `app.state.live` is the Live that
    a server closes first when it shuts down, so that followers do not hold it up.
    """
    settings = settings or Settings()
    check_exposure(settings)
    sessions = Sessions(settings.api_key.get_secret_value()) if settings.api_key else None
    live = Live(stream, settings.live_limit)
    kept: list[RestartingTask] = []
    families: list[Callable[[], Sequence[Metric]]] = []

    def consumers_state() -> str:
        return first_of([*stream.troubles(), *filter(None, (one.trouble() for one in kept))])

    parts: dict[str, Callable[[], str]] = {"consumers": consumers_state}

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as opened:
            context = opened.enter_context(plugin_context(stream, store, settings))
            for name, plugin in plugins().items():
                component = await opened.enter_async_context(open_plugin(plugin, context))
                if component.router is not None:
                    app.include_router(component.router, prefix="/api")
                parts.update(component.checks)
                if component.metrics is not None:
                    families.append(component.metrics)
                if name in settings.consumers or not plugin.runs:
                    kept.extend(RestartingTask(f"consumer {name}", task) for task in component.tasks)
            kept.append(RestartingTask("retention", lambda: keep(stream, settings.retention)))
            app.openapi_schema = None
            tasks = [asyncio.create_task(stream.run_consumers()), *(asyncio.create_task(one.run()) for one in kept)]
            try:
                yield
            finally:
                live.close()
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    app = FastAPI(
        title="BRAiN EventStream",
        version=version("brain-eventstream"),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.live = live
    paths = Paths(app)
    problems.install(app, paths.methods)
    openapi.install(app, with_key=sessions is not None)

    api = APIRouter(prefix="/api")
    api.include_router(live_router(live))
    api.include_router(events_router(stream))
    api.include_router(groups_router(stream))
    app.include_router(api)
    app.include_router(health_router(stream, store, parts, lambda: live.clients, families))
    app.router.routes += [Route("/", _page), *(login_routes(sessions) if sessions else [])]
    if STATIC.is_dir():
        app.mount("/static", StaticFiles(directory=STATIC), name="static")

    # The last one added is the first to see a request.
    app.add_middleware(NamesUnreadable)
    app.add_middleware(KnownParameters, paths=paths)
    app.add_middleware(BodyReader, limit=settings.body_limit)
    app.add_middleware(Guard, settings=settings, sessions=sessions)
    app.add_middleware(problems.LastResort)
    app.add_middleware(_SafeHeaders)
    app.add_middleware(Correlation)
    return app


async def _page(request: Request) -> Response:
    return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})


class _SafeHeaders:
    """ASGI middleware that lays the headers a browser needs to protect the page over every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # The page's files are asked for anew each time, and sent only when they have changed.
        caching = "no-cache" if scope.get("path", "").startswith("/static/") else "no-store"

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", caching)
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)
