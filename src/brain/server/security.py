"""Who may use the server: the API key, browser sessions, and the checks against requests of other web pages.

The rules, in the order they are applied to every request:
1. On a loopback address the Host header must name this machine (or one of `allowed_hosts`): a page of another site that
   points its own name at 127.0.0.1 (DNS rebinding) is refused.
2. A request that changes something and carries an Origin must come from this server's own page.
3. With a key (`BRAIN_API_KEY`, or one that `brain keys new` made), everything but the page's static files, the log-in
   form, pages of plug-ins below `/open/`, the two health probes and routes whose senders sign with a secret of their
   own (`brain.kit.http.signed`) needs a key, as `Authorization: Bearer KEY` or as a session cookie that `/login` gave
   for it; and the rules of roles must allow the key's role what the route does (actions.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import lru_cache, partial
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from brain.access.events import REQUEST_REFUSED, RequestRefused
from brain.access.settings import AccessSettings
from brain.charter import Principal, acting
from brain.errors import InvalidInput
from brain.logs import Log
from brain.server.costly import Costly
from brain.server.known_keys import KnownKeys
from brain.server.lasting import ended, lasts
from brain.server.paths import OPEN_PAGES, Paths
from brain.server.people import CALLBACK, LOGIN, KnownPeople
from brain.server.problems import problem
from brain.server.rate_limits import CHANGE, RateLimits, sender_name
from brain.server.roles import Roles
from brain.server.senders import Senders
from brain.server.sessions import COOKIE, SESSION_SECONDS, Sessions
from brain.server.signed_requests import Proof, is_signed
from brain.server.too_many import TooMany, pause, too_many
from brain.settings import CoreSettings
from brain.stream import EventStream
from brain.stream.publisher import emit

log: Log = Log("brain.server.security")

LEAST_KEY = 22
"""How many letters an API key has at least beyond loopback: 128 random bits, in base64."""
OPEN_PATHS = frozenset({"/", "/login", LOGIN, CALLBACK, "/healthz", "/readyz", "/favicon.ico"})
OPEN_PREFIXES = ("/static/", OPEN_PAGES)
"""Paths that need no key: the page's own files, and pages of plug-ins that check by themselves who opens them."""
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@lru_cache(maxsize=1024)
def is_loopback(host: str) -> bool:
    """Whether `host` is a name or address that only this machine can reach."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def check_exposure(settings: CoreSettings) -> None:
    """Raises InvalidInput when the server would listen beyond this machine without an API key, or with a short one."""
    if settings.api_key is None and not is_loopback(settings.host):
        raise InvalidInput(
            f"host: {settings.host} can be reached from other machines, so an API key is needed; "
            "set BRAIN_API_KEY to a long random value, or listen on 127.0.0.1"
        )
    key = "" if settings.api_key is None else settings.api_key.get_secret_value()
    if 0 < len(key) < LEAST_KEY and not is_loopback(settings.host):
        raise InvalidInput(
            f"api_key: has fewer than {LEAST_KEY} letters, and {settings.host} can be reached from other machines; "
            "set BRAIN_API_KEY to a random value, as `openssl rand -hex 16` gives"
        )


class Refusal(NamedTuple):
    """Why a request is not let in, and who tried."""

    answer: Response
    who: Principal
    reason: str
    action: str


class AccessControl:
    """ASGI middleware that applies the rules of this file, and says who acts in all that follows."""

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        proof = None
        if scope["type"] == "http" and is_signed(scope):
            proof = await self._gate.senders.prove(scope, receive)
            receive = proof.receive
        found = await self._gate.admit(scope, Headers(scope=scope), proof)
        refused = self._gate.refused(found, scope) if isinstance(found, Refusal) else self._gate.limited(found, scope)
        if refused is not None:
            if refused.status_code == 429:
                await asyncio.sleep(pause())
            if scope["type"] == "websocket":
                await WebSocket(scope, receive, send).send_denial_response(refused)
            else:
                await refused(scope, receive, send)
            return
        assert isinstance(found, Principal)
        if found.agents is not None:
            send = self._gate.watched(found, scope, send)
        if lasts(scope):
            over = partial(self._gate.over, found, scope)
            async with ended(receive, over, scope["type"] == "websocket") as receive:
                await self._pass_on(found, scope, receive, send)
        else:
            await self._pass_on(found, scope, receive, send)

    async def _pass_on(self, who: Principal, scope: Scope, receive: Receive, send: Send) -> None:
        with acting(who):
            if self._gate.costly.is_costly(scope["path"]):
                async with self._gate.costly.turn(sender_name(who)):
                    await self._app(scope, receive, send)
            else:
                await self._app(scope, receive, send)


class Gate:
    """Who a request is from, and whether it may be made."""

    def __init__(
        self, settings: CoreSettings, stream: EventStream, senders: Senders, roles: Roles, paths: Paths
    ) -> None:
        self.senders = senders
        self._stream = stream
        self._limits = RateLimits(settings.table(AccessSettings))
        self._too_many = TooMany()
        self.costly: Costly = Costly()
        self._roles = roles
        self.paths: Paths = paths
        self._hosts = frozenset(name.lower() for name in settings.allowed_hosts)
        self._check_hosts = is_loopback(settings.host) or bool(self._hosts)

    async def admit(self, scope: Scope, headers: Headers, proof: Proof | None = None) -> Principal | Refusal:
        """Who makes the request; a Refusal when it may not be made. `proof` is of one that is signed."""
        client, method, path = scope.get("client"), scope.get("method", "GET"), scope["path"]
        address = client[0] if client else None
        who, fault = await self.senders.sender(scope, headers, address, proof)
        if (answer := self._foreign(scope.get("method"), path, headers)) is not None:
            return Refusal(answer, who, "the request comes from elsewhere", self.paths.action_of(scope))
        if (not self.senders.guarded and fault is None) or _is_open(path):
            return who
        if self.paths.is_signed(method, path):
            return who if fault is None else Principal(name="signed sender", how="signature", address=address)
        action = self.paths.action_of(scope)
        if fault is not None:
            answer = problem(401, "Unauthorized", f"{fault}; {self.senders.remedy(headers, proof)}")
            answer.headers["WWW-Authenticate"] = self.senders.challenge(headers, fault)
            return Refusal(answer, who, fault, action)
        if not self._roles.allow(who, action, method, path):
            fault = f"the role {who.role} of {who.name} does not allow {action}"
            return Refusal(problem(403, "Forbidden", f"{fault}; use a key of another role"), who, fault, action)
        return who

    def is_plain(self, method: str, path: str, headers: Mapping[str, str]) -> bool:
        """Whether it hangs on its sender alone if a request with these headers may be made."""
        is_free = _is_open(path) or self.paths.is_signed(method, path) or self.costly.is_costly(path)
        return not is_free and self._foreign(method, path, headers) is None

    def let_in(self, path: str, authorization: str, address: str | None) -> Principal | Response | None:
        """Who makes a plain POST that may be made now, or the answer to one beyond a limit, which is noted; as `admit`
        and `limited` say. None leaves it to them.

        One that may be made is counted: `give_back` undoes that, where it is left to them after all.
        """
        who, kind = self.senders.at_once(authorization, address), self._kind(path)
        if who is None:
            return None
        if self.senders.guarded and not self._roles.allow(who, self.paths.action("POST", path), "POST", path):
            return None
        wait = self._limits.wait(kind, who)
        return who if wait == 0.0 else self._refused_by_limit(kind, wait, who, path)

    def _kind(self, path: str) -> str:
        return self._limits.kind("POST", path) or CHANGE

    def give_back(self, path: str, who: Principal) -> None:
        """Do not count a request that `let_in` let in: it goes the ordinary way, which counts it."""
        self._limits.give_back(self._kind(path), who)

    def _foreign(self, method: str | None, path: str, headers: Headers | Mapping[str, str]) -> Response | None:
        host = headers.get("host", "")
        if self._check_hosts and not self._host_known(host):
            return problem(
                421, "Unknown host", "the Host header does not name this server; add the name to BRAIN_ALLOWED_HOSTS"
            )
        # A page of another site may open a WebSocket here, and read what comes: there is no CORS for them.
        if (method not in _SAFE_METHODS or path.startswith("/api/")) and _from_elsewhere(headers, host):
            return problem(403, "Forbidden", "the request comes from a page of another origin")
        return None

    async def over(self, who: Principal, scope: Scope) -> bool:
        """Whether a sender that was let in would not be now: its key was revoked, its session is over.

        That is noted as a refusal.
        """
        client = scope.get("client")
        action = self.paths.action_of(scope)
        fault = await self.senders.over(who, scope, Headers(scope=scope), client[0] if client else None)
        if fault is None:
            return False
        self.note(Refusal(Response(status_code=401), who, fault, action), scope)
        return True

    def refused(self, refusal: Refusal, scope: Scope) -> Response:
        """The answer to a refused request, which is noted; beyond the limit of refusals it is only answered."""
        wait = self._limits.wait_of_refusal(refusal.who.address)
        if wait > 0:
            return self._refused_by_limit("refusals", wait, refusal.who, scope["path"])
        self.note(refusal, scope)
        return refusal.answer

    def limited(self, who: Principal, scope: Scope) -> Response | None:
        """The answer to a request beyond a limit of its sender; None for one within."""
        path = scope["path"]
        kind = self._limits.kind(scope.get("method", "POST"), path)
        if kind is None:
            return None
        wait = self._limits.wait(kind, who)
        if wait == 0.0 and (not self.costly.is_costly(path) or self.costly.has_room(sender_name(who))):
            return None
        if wait == 0.0:
            return self._refused_by_limit("searches at the same time", 1.0, who, path)
        return self._refused_by_limit(kind, wait, who, path)

    def _refused_by_limit(self, what: str, wait: float, who: Principal, path: str) -> Response:
        self._too_many.note(what, who, path)
        return too_many(what, wait)

    def watched(self, who: Principal, scope: Scope, send: Send) -> Send:
        """`send` that notes when a route refuses what `who` asks, as for an agent of others."""

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 403:
                action = self.paths.action_of(scope)
                asked = "ask for this agent" if action == "brain.evaluate" else "do this"
                reason = f"{who.name} may not {asked}"
                self.note(Refusal(Response(status_code=403), who, reason, action), scope)
            await send(message)

        return noting

    def note(self, refusal: Refusal, scope: Scope) -> None:
        """Log a refusal, and publish its event."""
        status, path = refusal.answer.status_code, scope["path"][:200]
        log.warning("request refused", status=status, path=path, client=refusal.who.address, principal=refusal.who.name)
        payload: RequestRefused = {
            "status": status,
            "reason": refusal.reason,
            "action": refusal.action,
            "method": scope.get("method", "WEBSOCKET"),
            "path": path,
        }
        with acting(refusal.who):
            emit(self._stream, REQUEST_REFUSED, payload)

    def _host_known(self, host: str) -> bool:
        name = _name_in(host)
        return is_loopback(name) or name in self._hosts


@lru_cache(maxsize=1024)
def _name_in(host: str) -> str:
    """The name or address in a Host header, without the port; empty when there is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_open(path: str) -> bool:
    return path in OPEN_PATHS or path.startswith(OPEN_PREFIXES)


def _from_elsewhere(headers: Headers | Mapping[str, str], host: str) -> bool:
    origin = headers.get("origin")
    if origin is not None:
        try:
            return urlsplit(origin).netloc.lower() != host.lower() or not host
        except ValueError:  # such as http://[
            return True
    return headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")


_FORM = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Log in - BRAiN EventStream</title></head>
<body><main><h1>BRAiN EventStream</h1>{note}
<form method="post" action="/login"><label>API key
<input type="password" name="key" autocomplete="current-password" required autofocus></label>
<button>Log in</button></form></main></body></html>
"""


def _form(note: str, status: int = 200) -> Response:
    """The log-in form. With `no-referrer` browsers would send it with the Origin `null`, as another site's."""
    headers = {"Referrer-Policy": "same-origin"}
    return Response(_FORM.format(note=note), status, headers, media_type="text/html")


def login_routes(keys: KnownKeys, people: KnownPeople) -> list[Route]:
    """`/login`: a form that works without scripts, and gives a session cookie; `/logout` deletes the cookie."""

    sessions = Sessions(keys)

    async def show(request: Request) -> Response:
        note = f'<p><a href="{LOGIN}">Log in by OpenID Connect</a></p>' if people.is_on else ""
        return _form(note)

    async def log_in(request: Request) -> Response:
        given = parse_qs((await request.body()).decode(errors="replace")).get("key", [""])[0]
        digest, key = await keys.token(given)
        if key is None or key.fault(digest, keys.clock()) is not None:
            log.warning("log-in refused", client=request.client.host if request.client else None)
            return _form("<p role=alert>That is not a key of this server.</p>", 401)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            COOKIE,
            sessions.issue(digest),
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer

    async def log_out(request: Request) -> Response:
        if people.is_on:
            await people.log_out(request.headers)
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return answer

    return [
        Route("/login", show, methods=["GET"]),
        Route("/login", log_in, methods=["POST"]),
        Route("/logout", log_out, methods=["POST"]),
        *(people.routes() if people.is_on else ()),
    ]
