"""The HTTP server put together: plug-ins, event stream, page, security, errors.

    app = create_app(stream, store, settings)

The caller opens the stream and the store and closes them after the app; the app's lifespan opens the installed plug-ins
and runs their tasks and the stream's consumers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from brain import __version__
from brain.server import openapi, problems
from brain.server.body import BodyReader
from brain.server.components import Components
from brain.server.correlation import Correlation
from brain.server.events import events_router
from brain.server.groups import groups_router
from brain.server.headers import SafeHeaders
from brain.server.health import health_router
from brain.server.idempotency import Idempotency
from brain.server.live import Live, live_router
from brain.server.page import mount_page, plugins_router
from brain.server.paths import KnownParameters, Paths
from brain.server.quick import QuickAnswers
from brain.server.request_keys import RequestKeys
from brain.server.security import AccessControl, Sessions, check_exposure, login_routes
from brain.server.unreadable import NamesUnreadable
from brain.settings import Settings
from brain.store import Store
from brain.stream import EventStream


def create_app(stream: EventStream, store: Store, settings: Settings | None = None) -> FastAPI:
    """The ASGI application over an open stream and store.

    Raises InvalidInput when `settings` would expose the server without an API key, or a plug-in is at fault.
    `app.state.live` is the Live that a server closes first when it shuts down, so that followers do not hold it up.
    """
    settings = settings or Settings()
    check_exposure(settings)
    sessions = Sessions(settings.api_key.get_secret_value()) if settings.api_key else None
    live = Live(stream, settings.live_limit)
    keys = RequestKeys(store)
    components = Components(stream, store, settings, {"idempotency keys": keys.sweep_forever})

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with components.opened(app):
            try:
                yield
            finally:
                live.close()

    app = FastAPI(
        title="BRAiN EventStream",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.live = live
    openapi.install(app, with_key=sessions is not None)
    for router in (live_router(live), events_router(stream), groups_router(stream)):
        app.include_router(router, prefix="/api")
    app.include_router(plugins_router(components.runs_here), prefix="/api")
    app.include_router(health_router(stream, store, components, lambda: live.clients))
    app.router.routes += login_routes(sessions) if sessions else []
    mount_page(app)
    _add_middleware(app, settings, sessions, keys, components)
    return app


def _add_middleware(
    app: FastAPI, settings: Settings, sessions: Sessions | None, keys: RequestKeys, components: Components
) -> None:
    """The last one added is the first to see a request."""
    paths = Paths(app)
    problems.install(app, paths.methods)
    app.add_middleware(NamesUnreadable)
    app.add_middleware(Idempotency, keys=keys, paths=paths)
    app.add_middleware(KnownParameters, paths=paths)
    app.add_middleware(BodyReader, limit=settings.body_limit, paths=paths)
    app.add_middleware(QuickAnswers, quick=components.quick, limit=settings.body_limit)
    app.add_middleware(AccessControl, settings=settings, sessions=sessions, paths=paths)
    app.add_middleware(problems.LastResort)
    app.add_middleware(SafeHeaders)
    app.add_middleware(Correlation)
