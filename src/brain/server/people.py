"""People who log in by a provider: the two routes of it, and whose session a request has."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Sequence
from html import escape

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from brain.access.key_form import digest_of
from brain.access.oidc import Issuer, LoginRefused
from brain.access.people import LOGIN_SECONDS, People, PersonSession
from brain.access.settings import OidcSettings
from brain.charter import Principal
from brain.errors import BrainError
from brain.logs import Log
from brain.store import Store

log: Log = Log("brain.server.people")

LOGIN, CALLBACK = "/oidc/login", "/oidc/callback"
LOOK_SECONDS = 1.0
"""How long the end of a session may be unseen by this server."""
_KEPT = 10_000
_COOKIE = "brain_person"
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Log in - BRAiN EventStream</title></head>
<body><main><h1>BRAiN EventStream</h1><p role="alert">{note}</p><p><a href="/oidc/login">Log in again</a></p></main>
</body></html>
"""


class KnownPeople:
    """The people of one server, by its settings; sessions that were looked up are kept for a second."""

    def __init__(self, store: Store, settings: OidcSettings, urls: Sequence[str]) -> None:
        self.people: People = People(store, settings)
        self.is_on: bool = bool(settings.issuer)
        self._issuer = Issuer(settings)
        self._url = urls[0] if urls else None
        self._found: dict[str, tuple[PersonSession | None, float]] = {}

    async def who(self, headers: Headers, address: str | None) -> Principal | None:
        """The person whose session the cookies of a request hold; None without a good one."""
        for token in _tokens(headers.getlist("cookie")):
            session = await self._session(digest_of(token))
            if session is not None:
                return session.principal(address)
        return None

    async def log_out(self, headers: Headers) -> None:
        """End the sessions that the cookies of a request hold."""
        for token in _tokens(headers.getlist("cookie")):
            self._found.pop(digest_of(token), None)
            await asyncio.to_thread(self.people.end, digest_of(token))

    async def sweep(self) -> None:
        """Delete what is over, once a minute, until it is cancelled."""
        while True:
            await asyncio.to_thread(self.people.sweep)
            await asyncio.sleep(60)

    def routes(self) -> list[Route]:
        """The way to the provider, and back."""
        return [Route(LOGIN, self._begin, methods=["GET"]), Route(CALLBACK, self._end, methods=["GET"])]

    async def _session(self, digest: str) -> PersonSession | None:
        now = self.people.clock()
        known = self._found.get(digest)
        if known is not None and 0 <= now - known[1] < LOOK_SECONDS:
            return known[0]
        session = await asyncio.to_thread(self.people.find, digest)
        if len(self._found) >= _KEPT:
            self._found.clear()
        if session is not None:  # what others make up must not drive out what is kept
            self._found[digest] = session, now
        else:
            self._found.pop(digest, None)
        return session

    async def _begin(self, request: Request) -> Response:
        redirect = f"{self._url or str(request.base_url).rstrip('/')}{CALLBACK}"
        try:
            state, login = await asyncio.to_thread(self.people.begin, redirect)
            url = await self._issuer.authorization_url(state, login.nonce, login.verifier, redirect)
        except BrainError as error:
            return _refused(request, error)
        answer = RedirectResponse(url, 303)
        answer.set_cookie(
            _state_cookie(state),
            state,
            max_age=int(LOGIN_SECONDS),
            path="/oidc/",
            httponly=True,
            samesite="lax",
            secure=self._is_secure(request),
        )
        return answer

    async def _end(self, request: Request) -> Response:
        try:
            token = await self._logged_in(request)
        except BrainError as error:
            return _refused(request, error)
        answer = RedirectResponse("/", 303)
        secure = self._is_secure(request)
        name = f"{'__Host-' if secure else ''}{_COOKIE}_{request.url.port or 0}"
        answer.set_cookie(name, token, httponly=True, samesite="strict", secure=secure)
        answer.delete_cookie(_state_cookie(request.query_params.get("state", "")), path="/oidc/")
        return answer

    async def _logged_in(self, request: Request) -> str:
        """The token of a new session. Raises LoginRefused, Unavailable."""
        given = request.query_params
        state = given.get("state", "")
        kept = request.cookies.get(_state_cookie(state), "")
        if not state or not hmac.compare_digest(kept.encode(errors="replace"), state.encode(errors="replace")):
            raise LoginRefused("this log-in was not begun in this browser, or it is too long ago")
        login = await asyncio.to_thread(self.people.take, state)
        if login is None:
            raise LoginRefused("this log-in is over: it was used already, or it took too long")
        await self._issuer.check_answer(given.get("iss"))
        if "code" not in given:
            raise LoginRefused(f"the provider let nobody in: {given.get('error', 'no code')[:200]}")
        claims = await self._issuer.claims(given["code"], login.verifier, login.nonce, login.redirect)
        token, session = await asyncio.to_thread(self.people.open, claims)
        log.info("logged in", name=session.name, role=session.role)
        return token

    def _is_secure(self, request: Request) -> bool:
        return (self._url or str(request.base_url)).startswith("https://")


def _tokens(cookies: Sequence[str]) -> list[str]:
    """The values of all cookies of ours; a browser may send several, of which one is good."""
    found = []
    for pair in ";".join(cookies).split(";"):
        name, _, value = pair.strip().partition("=")
        if name.startswith((_COOKIE, f"__Host-{_COOKIE}")) and len(value) == 43:
            found.append(value)
    return found[:4]


def _state_cookie(state: str) -> str:
    """One for each log-in under way, so that those of two tabs do not clash."""
    letters = "".join(letter for letter in state[:8] if letter.isascii() and (letter.isalnum() or letter in "-_"))
    return f"brain_oidc_{letters}"


def _refused(request: Request, error: BrainError) -> Response:
    log.warning("log-in refused", client=request.client.host if request.client else None, error=str(error))
    words = str(error) if error.status < 500 else "The provider does not answer; try again later."
    return Response(_PAGE.format(note=escape(words)), 403 if error.status < 500 else 503, media_type="text/html")
