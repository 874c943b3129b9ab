"""The HTTP server put together: modules, event stream, page, security, errors.

    app = create_app(stream, store, settings)

The caller opens the stream and the store and closes them after the app; the app's lifespan opens the modules that the
`brain.modules` entry points name, and runs the stream's consumers.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import entry_points, version
from importlib.util import find_spec
from pathlib import Path

from fastapi import APIRouter, FastAPI
from prometheus_client.core import Metric
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from brain.consumers import consumer_packages, open_consumer, open_house
from brain.security import Guard, Sessions, check_exposure, login_routes
from brain.settings import Settings
from brain.store import Store
from brain.stream import EventStream
from brain.stream.kept import Kept
from brain.stream.retention import keep
from brain.web import openapi, problems
from brain.web.body import BodyReader
from brain.web.correlation import Correlation
from brain.web.events_api import events_router
from brain.web.groups_api import groups_router
from brain.web.health import first_of, health_router
from brain.web.live import Live, live_router
from brain.web.modules import Module
from brain.web.paths import KnownParameters, Paths
from brain.web.unreadable import NamesUnreadable

STATIC = Path(__file__).parent / "web" / "static"

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
    kept: list[Kept] = []
    families: list[Callable[[], Sequence[Metric]]] = []

    def consumers_state() -> str:
        return first_of([*stream.troubles(), *filter(None, (one.trouble() for one in kept))])

    parts: dict[str, Callable[[], str]] = {"consumers": consumers_state}

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as modules:
            for package in module_packages():
                module: Module = await modules.enter_async_context(
                    importlib.import_module(f"{package}.api").open_module(stream, store, settings)
                )
                app.include_router(module.router, prefix="/api")
                parts.update(module.checks)
                if module.families is not None:
                    families.append(module.families)
            house = modules.enter_context(open_house(stream, store, settings))
            for name in consumer_packages():
                consumer = await modules.enter_async_context(open_consumer(name, house))
                app.include_router(consumer.router, prefix="/api")
                if consumer.families is not None:
                    families.append(consumer.families)
                if name in settings.consumers:
                    kept.extend(Kept(f"consumer {name}", work) for work in consumer.work)
            kept.append(Kept("retention", lambda: keep(stream, settings.retention)))
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


def module_packages() -> list[str]:
    """The packages behind the `brain.modules` entry points that have an HTTP API, by name."""
    points = sorted(entry_points(group="brain.modules"), key=lambda point: point.name)
    return [point.value for point in points if find_spec(f"{point.value}.api") is not None]


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
