"""The HTTP server put together: plug-ins, event stream, page, security, errors.

    app = create_app(stream, store, settings)

The caller opens the stream and the store and closes them after the app; the app's lifespan opens the installed plug-ins
and runs their tasks and the stream's consumers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette

from brain.access.settings import AccessSettings
from brain.extras import require_extras
from brain.plugins import Quick, Routes
from brain.server import health, problems
from brain.server.api import Api, PreparesApi, ServesApi
from brain.server.body import BodyReader
from brain.server.components import Components
from brain.server.correlation import Correlation
from brain.server.direct import DirectAnswers
from brain.server.headers import SafeHeaders
from brain.server.health import Endpoints
from brain.server.idempotency import Idempotency
from brain.server.known_agents import KnownAgents
from brain.server.known_keys import KnownKeys
from brain.server.known_tokens import KnownTokens
from brain.server.live import Live
from brain.server.nonces import Nonces
from brain.server.page import mount_page
from brain.server.paths import OPEN_PAGES, KnownParameters, Paths
from brain.server.people import KnownPeople
from brain.server.quick import QuickAnswers
from brain.server.request_keys import RequestKeys
from brain.server.roles import Roles
from brain.server.security import AccessControl, Gate, check_exposure, login_routes
from brain.server.senders import Senders
from brain.server.signed_requests import SignedRequests
from brain.server.unreadable import NamesUnreadable
from brain.settings import CoreSettings, settings_model
from brain.store import Store
from brain.stream import EventStream


def create_app(stream: EventStream, store: Store, settings: CoreSettings | None = None) -> Starlette:
    """The ASGI application over an open stream and store.

    Raises InvalidInput when `settings` would expose the server without an API key, or a plug-in is at fault.
    `app.state.end_waits` is what a server calls first when it shuts down, so that followers of events, and requests
    that wait for news, do not hold it up.
    """
    settings = settings or settings_model()()
    check_exposure(settings)
    known = KnownKeys(store, settings.api_key.get_secret_value() if settings.api_key else None)
    known.refresh()
    access = settings.table(AccessSettings)
    agents = KnownAgents(store, known.following, refuse_asserted=access.refuse_asserted)
    agents.refresh()
    people = KnownPeople(store, access.oidc, access.urls)
    if people.is_on:
        require_extras("people by OpenID Connect", "connectors", "oidc")
    nonces = Nonces(agents.clock)
    tokens = KnownTokens(store, agents, access.issuers, nonces)
    if tokens.is_on:
        require_extras("tokens of other issuers", "connectors", "oidc")
        tokens.check()
    roles = Roles(access.rules)
    is_guarded = known.guarded or people.is_on or tokens.is_on or bool(access.trust_domains)
    if is_guarded:
        roles.check()
    live = Live(stream, settings.live_limit, access.followers)
    keys = RequestKeys(store)
    tasks = {
        "idempotency keys": keys.sweep_forever,
        "access keys": known.following.run,
    }
    if people.is_on:
        tasks["people"] = people.sweep
    components = Components(stream, store, settings, tasks)

    api = Api(with_key=is_guarded)
    endpoints = health.endpoints(stream, store, components, lambda: live.clients)

    def end_waits() -> None:
        live.close()
        components.end_waits()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with components.opened(api):
            try:
                yield
            finally:
                end_waits()

    app = Starlette(routes=[*endpoints.routes(), *login_routes(known, people)], lifespan=lifespan)
    app.state.end_waits = end_waits
    _add_own_routes(api, stream, live, components, endpoints)
    mount_page(app)
    app.mount(f"{OPEN_PAGES}{{plugin}}", components.open_page)
    signed = SignedRequests(agents, store, access.urls, settings.body_limit, nonces)
    senders = Senders(known, signed, people, tokens, certificates=bool(access.trust_domains))
    gate = Gate(settings, stream, senders, roles, Paths(api.known))
    _add_middleware(app, api, settings, gate, components, keys)

    def quick(path: str) -> Quick | None:
        return components.quick(path) if api.is_prepared(path) else None

    app.state.direct = DirectAnswers(quick, gate, settings.body_limit)
    return app


def _add_own_routes(api: Api, stream: EventStream, live: Live, components: Components, endpoints: Endpoints) -> None:
    """The routes that belong to no plug-in, in the order of the document."""

    api.add(Routes(("/events",), "brain.server.live_http:live_router", (live,)))
    api.add(Routes(("/events",), "brain.server.events:events_router", (stream,)))
    api.add(Routes(("/groups", "/dead-letters"), "brain.server.groups:groups_router", (stream,)))
    api.add(Routes(("/plugins",), "brain.server.plugin_list:plugins_router", (components.runs_here,)))
    health_paths = ("/healthz", "/readyz", "/metrics")
    api.add(Routes(health_paths, "brain.server.health_http:health_router", (endpoints,)), prefix="")


def _add_middleware(
    app: Starlette,
    api: Api,
    settings: CoreSettings,
    gate: Gate,
    components: Components,
    keys: RequestKeys,
) -> None:
    """The last one added is the first to see a request."""
    paths = gate.paths
    problems.install(app, paths.methods)
    app.add_middleware(ServesApi, api=api)
    app.add_middleware(NamesUnreadable)
    app.add_middleware(Idempotency, keys=keys, paths=paths)
    app.add_middleware(KnownParameters, paths=paths)
    app.add_middleware(BodyReader, limit=settings.body_limit, paths=paths)
    app.add_middleware(QuickAnswers, quick=components.quick, limit=settings.body_limit)
    app.add_middleware(AccessControl, gate=gate)
    app.add_middleware(PreparesApi, api=api)
    app.add_middleware(problems.LastResort)
    app.add_middleware(SafeHeaders)
    app.add_middleware(Correlation)
