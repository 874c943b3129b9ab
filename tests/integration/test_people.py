"""People by OpenID Connect: whole log-ins with a real provider, sessions and their ends, keys that change."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import httpx
import pytest
import pytest_asyncio
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey
from oidc_provider_mock import User, run_server_in_thread

from brain.access.models import Role
from brain.access.oidc import Issuer, LoginRefused
from brain.access.people import LOGINS, SESSIONS, People
from brain.access.published_keys import AGAIN_SECONDS
from brain.access.settings import AccessSettings, OidcSettings
from brain.errors import InvalidInput, Unavailable
from brain.secret import Secret
from brain.server.app import create_app
from brain.store import open_store
from brain.store.memory import MemoryStore
from brain.stream import EventStream
from support.clock import Clock
from support.server import without_consumers
from support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
BASE = "http://127.0.0.1:8765"


class Served(NamedTuple):
    """A server whose people a provider knows."""

    app: Any

    def browser(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url=BASE)


async def at_provider(browser: httpx.AsyncClient, person: str) -> str:
    """Begin a log-in and do the provider's part; the address that it sends the browser back to."""
    begun = await browser.get("/oidc/login")
    assert begun.status_code == 303, begun.text
    async with httpx.AsyncClient(trust_env=False) as outside:
        back = await outside.post(begun.headers["location"], data={"sub": person})
    assert back.status_code in (302, 303), back.text
    return str(back.headers["location"])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served() -> AsyncIterator[Served]:
    people = [
        User(sub="ada", claims={"email": "ada@example.org", "groups": ["staff", "soc"]}),
        User(sub="mia", claims={"email": "mia@example.org", "groups": ["admins"]}),
        User(sub="eve", claims={"email": "eve@example.org", "groups": ["guests"]}),
    ]
    with run_server_in_thread(user_claims=people) as provider:
        oidc = OidcSettings(
            issuer=f"http://localhost:{provider.server_port}",
            client_id="brain",
            client_secret=Secret("of this server"),
            roles={"admins": Role.ADMIN, "soc": Role.OPERATOR},
        )
        async with EventStream.open("memory://") as stream:
            store = open_store("memory://")
            app = create_app(stream, store, without_consumers(access=AccessSettings(oidc=oidc)))
            async with app.router.lifespan_context(app):
                yield Served(app)


async def test_a_person_logs_in_in_two_tabs_and_out(served: Served) -> None:
    async with served.browser() as browser, served.browser() as other:
        assert (await browser.get("/api/threats")).status_code == 401, "a provider guards the server as a key does"
        assert "/oidc/login" in (await browser.get("/login")).text
        first, second = await at_provider(browser, "ada"), await at_provider(browser, "ada")
        assert (await other.get(first)).status_code == 403, "another browser"
        for tab in (first, second):
            assert (await browser.get(tab)).status_code == 303
        assert (await browser.get(first)).status_code == 403, "a code counts once"
        me = (await browser.get("/api/access/me")).json()
        assert me == {
            "kind": "person",
            "name": "ada@example.org",
            "how": "oidc",
            "address": "127.0.0.1",
            "role": "operator",
            "owner": None,
        }
        assert (await browser.get("/api/access/keys")).status_code == 403
        cross = {"Sec-Fetch-Site": "cross-site"}
        assert (await browser.get("/api/threats", headers=cross)).status_code == 403
        assert (await browser.get("/login", headers=cross)).status_code == 200
        cookie = browser.cookies["brain_person_8765"]
        assert (await browser.post("/logout")).status_code == 303
        browser.cookies.set("brain_person_8765", cookie)
        assert (await browser.get("/api/access/me")).status_code == 401, "ended on the server, not in the browser alone"


async def test_who_has_no_role_here_is_refused(served: Served) -> None:
    async with served.browser() as browser:
        refused = await browser.get(await at_provider(browser, "eve"))
        assert (refused.status_code, "see roles in" in refused.text) == (403, True)
        assert (await browser.get("/oidc/callback?state=x&code=y")).status_code == 403
        await browser.get("/oidc/login")
        state = [value for name, value in browser.cookies.items() if name.startswith("brain_oidc_")][-1]
        denied = await browser.get(f"/oidc/callback?state={state}&error=<b>")
        assert (denied.status_code, "&lt;b&gt;" in denied.text) == (403, True)


async def test_all_sessions_of_a_person_are_ended_at_once(served: Served) -> None:
    async with served.browser() as one, served.browser() as two:
        for browser in (one, two):
            await browser.get(await at_provider(browser, "ada"))
            assert (await browser.get("/api/access/me")).status_code == 200
        async with served.browser() as admin:
            await admin.get(await at_provider(admin, "mia"))
            names = [one["name"] for one in (await admin.get("/api/access/sessions")).json()]
            assert names.count("ada@example.org") >= 2
            ended = (await admin.delete("/api/access/sessions/ada@example.org")).json()["ended"]
            assert ended == names.count("ada@example.org")

        async def over() -> bool:
            return {(await browser.get("/api/access/me")).status_code for browser in (one, two)} == {401}

        await until(over)


async def test_sessions_end_when_idle_and_in_any_case() -> None:
    clock = Clock(1000.0)
    settings = OidcSettings(default_role=Role.VIEWER, idle_minutes=10, session_hours=1)
    people = People(MemoryStore(), settings, clock)
    from brain.access.key_form import digest_of

    claims = {"sub": "1", "email": "a@b"}
    token, _ = people.open(claims)
    for _ in range(6):
        clock.advance(590)
        assert people.find(digest_of(token)) is not None
    clock.advance(70)
    assert people.find(digest_of(token)) is None, "an hour is over"
    token, _ = people.open(claims)
    clock.advance(601)
    assert people.list() == []
    assert people.find(digest_of(token)) is None, "idle"
    state, _ = people.begin("x")
    clock.advance(601)
    assert people.take(state) is None
    people.begin("x")
    clock.advance(601)
    people.sweep()
    for bad in ({"sub": "1"}, {"sub": "1", "email": "BRAIN_API_KEY"}, {**claims, "email_verified": False}):
        with pytest.raises(LoginRefused):
            people.open(bad)


async def test_a_session_that_cannot_be_read_lets_nobody_in_and_stops_no_other() -> None:
    store = MemoryStore()
    people = People(store, OidcSettings(default_role=Role.VIEWER), Clock(1000.0))
    for number in range(2):
        people.open({"sub": str(number), "email": f"{number}@example.org"})
    bad, good = store.scan(SESSIONS)
    store.put(SESSIONS, bad.key, b"{")
    store.put(LOGINS, "x", b"{")
    (left,) = people.list()
    assert people.end_all("nobody") == 0
    people.sweep()
    assert [one.key for one in store.scan(SESSIONS)] == [good.key]
    assert store.scan(LOGINS) == []
    store.put(SESSIONS, bad.key, b"{")
    assert people.find(bad.key) is None
    assert people.end_all(left.name) == 1


class Provider:
    """A provider whose keys change; it answers where the network would."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = Clock(float(int(time.time())))
        self.key: Any = ECKey.generate_key("P-256", {"kid": "k1"})
        self.alg = "ES256"
        self.fetches = 0
        self.is_down = False
        settings = OidcSettings(issuer="https://id.example", client_id="brain")
        self.issuer = Issuer(settings, self.clock)
        for module in ("oidc", "published_keys"):
            monkeypatch.setattr(f"brain.access.{module}.fetch_json", self.fetch)

    async def fetch(self, method: str, url: str, **_: Any) -> dict[str, Any]:
        if self.is_down:
            raise Unavailable("down")
        if url.endswith("/jwks"):
            self.fetches += 1
            return dict(KeySet([self.key]).as_dict())
        names = {name: f"https://id.example/{name}" for name in ("authorization_endpoint", "token_endpoint")}
        return {
            "issuer": "https://id.example",
            "jwks_uri": "https://id.example/jwks",
            "id_token_signing_alg_values_supported": [self.alg],
            **names,
        }

    def token(self, *, kid: str | None = None, key: Any = None, **changed: Any) -> str:
        now = int(self.clock())
        claims = {"iss": "https://id.example", "aud": "brain", "sub": "1", "nonce": "n", "iat": now, "exp": now + 60}
        key = key or self.key
        header = {"alg": self.alg, "kid": kid or key.kid}
        return jwt.encode(header, {**claims, **changed}, key, algorithms=[self.alg])

    async def counts(self, token: str) -> bool:
        try:
            await self.issuer._verified(token, "n")
        except LoginRefused:
            return False
        return True


async def test_keys_of_the_provider_change_without_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = Provider(monkeypatch)
    await provider.issuer._published.known()
    assert await provider.counts(provider.token())
    for key, alg in (
        (ECKey.generate_key("P-256", {"kid": "k2"}), "ES256"),
        (ECKey.generate_key("P-256", {"kid": "k2"}), "ES256"),
        (RSAKey.generate_key(2048, {"kid": "k3"}), "RS256"),
        (OKPKey.generate_key("Ed25519", {"kid": "k3"}), "Ed25519"),
        (ECKey.generate_key("P-256", {"kid": "k4"}), "ES256"),
    ):
        provider.key, provider.alg = key, alg
        provider.clock.advance(AGAIN_SECONDS + 1)
        assert await provider.counts(provider.token()), (alg, "a new key, also under the kid of another")
    provider.clock.advance(AGAIN_SECONDS + 1)
    before = provider.fetches
    for number in range(100):
        assert not await provider.counts(provider.token(kid=f"unknown-{number}"))
    assert provider.fetches == before + 1
    provider.is_down = True
    provider.clock.advance(AGAIN_SECONDS + 1)
    assert not await provider.counts(provider.token(kid="unknown"))
    assert await provider.counts(provider.token()), "those known go on"


async def test_what_an_id_token_must_say(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = Provider(monkeypatch)
    await provider.issuer._published.known()
    now = int(provider.clock())
    for good in ({"exp": now - 29}, {"iat": now + 29}, {"aud": ["brain"]}, {"aud": ["brain", "x"], "azp": "brain"}):
        assert await provider.counts(provider.token(**good)), good
    for bad in (
        {"exp": now - 31},
        {"iat": now + 31},
        {"nonce": "other"},
        {"aud": "x"},
        {"aud": ["brain", "x"]},
        {"aud": ["brain", "x"], "azp": "x"},
        {"iss": "https://evil.example"},
        {"sub": None},
        {"exp": None},
    ):
        assert not await provider.counts(provider.token(**bad)), bad
    stranger = ECKey.generate_key("P-256", {"kid": "k1"})
    assert not await provider.counts(provider.token(key=stranger))
    await provider.issuer.check_answer("https://id.example")
    with pytest.raises(LoginRefused):
        await provider.issuer.check_answer("https://evil.example")


async def test_settings_name_what_is_missing() -> None:
    for bad, field in (({"issuer": "https://id.example"}, "client_id"), ({"issuer": "http://id.example"}, "https")):
        with pytest.raises((InvalidInput, ValueError), match=field):
            OidcSettings(**{"client_id": "" if field == "client_id" else "x", **bad})
