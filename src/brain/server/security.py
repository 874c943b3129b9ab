"""Who may use the server: the API key, browser sessions, and the checks against requests of other web pages.

The rules, in the order they are applied to every request:
1. On a loopback address the Host header must name this machine (or one of `allowed_hosts`): a page of another site that
   points its own name at 127.0.0.1 (DNS rebinding) is refused.
2. A request that changes something and carries an Origin must come from this server's own page.
3. With an API key set, everything but the page's static files, the log-in form, the two health probes and routes whose
   senders sign with a secret of their own (`brain.kit.http.signed`) needs the key, as `Authorization: Bearer KEY` or as
   a session cookie that `/login` gave for it.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from brain.errors import InvalidInput
from brain.logs import Log
from brain.server.paths import Paths
from brain.server.problems import problem
from brain.settings import Settings

log: Log = Log("brain.server.security")

COOKIE = "brain_session"
SESSION_SECONDS = 12 * 3600
OPEN_PATHS = frozenset({"/", "/login", "/healthz", "/readyz", "/favicon.ico"})
OPEN_PREFIX = "/static/"
"""Paths that need no key: the page's own files."""
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


def check_exposure(settings: Settings) -> None:
    """Raises InvalidInput when the server would listen beyond this machine without an API key."""
    if settings.api_key is None and not is_loopback(settings.host):
        raise InvalidInput(
            f"host: {settings.host} can be reached from other machines, so an API key is needed; "
            "set BRAIN_API_KEY to a long random value, or listen on 127.0.0.1"
        )


class Sessions:
    """Browser sessions without a table: a cookie holds the time of its end, and a MAC of it made with the API key.

    A new API key ends all sessions.
    """

    def __init__(self, api_key: str, clock: Callable[[], float] = time.time) -> None:
        self._key = api_key.encode()
        self._clock = clock

    def knows(self, key: str) -> bool:
        """Whether `key` is the API key; takes the same time whatever it is."""
        return hmac.compare_digest(sha256(key.encode(errors="replace")).digest(), sha256(self._key).digest())

    def issue(self) -> str:
        """A new cookie value."""
        end = str(int(self._clock()) + SESSION_SECONDS)
        return f"{end}.{self._mac(end)}"

    def valid(self, cookie: str) -> bool:
        """Whether the value was issued for this key and has not expired."""
        end, _, mac = cookie.partition(".")
        if not hmac.compare_digest(mac.encode(errors="replace"), self._mac(end).encode()):
            return False
        return end.isdecimal() and int(end) > self._clock()

    def admits(self, headers: Headers) -> bool:
        """Whether a request with these headers carries the key or a valid session cookie."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.knows(token.strip())
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return cookie is not None and self.valid(cookie.value)

    def _mac(self, end: str) -> str:
        return hmac.new(self._key, b"brain session until " + end.encode(errors="replace"), sha256).hexdigest()


class AccessControl:
    """ASGI middleware that applies the three rules of this file."""

    def __init__(self, app: ASGIApp, settings: Settings, sessions: Sessions | None, paths: Paths) -> None:
        self._app = app
        self._paths = paths
        self._sessions = sessions
        self._hosts = frozenset(name.lower() for name in settings.allowed_hosts)
        self._check_hosts = is_loopback(settings.host) or bool(self._hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if refusal is None:
            await self._app(scope, receive, send)
            return
        client = scope.get("client")
        log.warning(
            "request refused", status=refusal.status_code, path=scope["path"], client=client[0] if client else None
        )
        if scope["type"] == "websocket":
            await WebSocket(scope, receive, send).send_denial_response(refusal)
            return
        await refusal(scope, receive, send)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        host = headers.get("host", "")
        if self._check_hosts and not self._host_known(host):
            return problem(
                421, "Unknown host", "the Host header does not name this server; add the name to BRAIN_ALLOWED_HOSTS"
            )
        # A page of another site may open a WebSocket here, and read what comes: there is no CORS for them.
        if scope.get("method") not in _SAFE_METHODS and _from_elsewhere(headers, host):
            return problem(403, "Forbidden", "the request comes from a page of another origin")
        if self._sessions is None or _is_open(scope["path"]) or self._sessions.admits(headers):
            return None
        if self._paths.is_signed(scope.get("method", "GET"), scope["path"]):
            return None
        answer = problem(401, "Unauthorized", "send the API key as 'Authorization: Bearer KEY', or log in at /login")
        answer.headers["WWW-Authenticate"] = "Bearer"
        return answer

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
    return path in OPEN_PATHS or path.startswith(OPEN_PREFIX)


def _from_elsewhere(headers: Headers, host: str) -> bool:
    origin = headers.get("origin")
    if origin is not None:
        return urlsplit(origin).netloc.lower() != host.lower() or not host
    return headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")


_FORM = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Log in - BRAiN EventStream</title></head>
<body><main><h1>BRAiN EventStream</h1>{note}
<form method="post" action="/login"><label>API key
<input type="password" name="key" autocomplete="current-password" required autofocus></label>
<button>Log in</button></form></main></body></html>
"""


def login_routes(sessions: Sessions) -> list[Route]:
    """`/login`: a form that works without scripts, and gives a session cookie; `/logout` deletes the cookie."""

    async def show(request: Request) -> Response:
        return Response(_FORM.format(note=""), media_type="text/html")

    async def log_in(request: Request) -> Response:
        given = parse_qs((await request.body()).decode(errors="replace")).get("key", [""])[0]
        if not sessions.knows(given):
            log.warning("log-in refused", client=request.client.host if request.client else None)
            return Response(
                _FORM.format(note="<p role=alert>That is not the API key.</p>"), 401, media_type="text/html"
            )
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            COOKIE,
            sessions.issue(),
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer

    async def log_out(request: Request) -> Response:
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return answer

    return [
        Route("/login", show, methods=["GET"]),
        Route("/login", log_in, methods=["POST"]),
        Route("/logout", log_out, methods=["POST"]),
    ]
