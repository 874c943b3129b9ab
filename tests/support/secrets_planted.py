"""Fifty secrets of more than fifteen kinds, none of them real, each with what must not be found of it."""

# ruff: noqa: E501

from __future__ import annotations

import base64
import random
import string
from collections.abc import Callable

_random = random.Random(17)
_LETTERS = string.ascii_letters + string.digits


def _some(length: int, letters: str = _LETTERS) -> str:
    return "".join(_random.choices(letters, k=length))


def _card(prefix: str, length: int) -> str:
    """A number with the right check digit."""
    digits = prefix + "".join(_random.choices(string.digits, k=length - len(prefix) - 1))
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in digits[::-2])
    rest = sum(map(int, digits[-2::-2]))
    return f"{digits}{-(doubled + rest) % 10}"


def _basic() -> str:
    return "Basic " + base64.b64encode(f"user:{_some(12)}".encode()).decode()


_PEM = "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----"

NAMED: tuple[tuple[str, str], ...] = tuple(
    (name, _some(12))
    for name in (
        "password", "db_password", "userPassword", "passwd", "token", "access_token", "sessionToken", "secret", "client-secret",
        "api_key", "apiKey", "X-Api-Key", "authorization", "cookie", "Set-Cookie", "private_key", "credentials",
    )
)  # fmt: skip
"""By their name alone: a name and a value."""

_FORMS: tuple[Callable[[], str], ...] = (
    lambda: "AKIA" + _some(16, string.ascii_uppercase + "234567"),
    lambda: "ghp_" + _some(36),
    lambda: "github_pat_" + _some(60),
    lambda: "glpat-" + _some(20),
    lambda: "xoxb-" + _some(12, string.digits) + "-" + _some(24),
    lambda: "sk_live_" + _some(24),
    lambda: "whsec_" + base64.b64encode(_some(32).encode()).decode(),
    lambda: "AIza" + _some(35),
    lambda: "sk-ant-api03-" + _some(80),
    lambda: "sk-proj-" + _some(48),
    lambda: "npm_" + _some(36),
    lambda: "pypi-AgEIcHlwaS5vcmc" + _some(60),
    lambda: "hf_" + _some(34),
    lambda: f"SG.{_some(22)}.{_some(43)}",
    lambda: "hvs." + _some(28),
    lambda: "brn_" + _some(36),
    lambda: f"eyJ{_some(20)}.eyJ{_some(40)}.{_some(43)}",
    lambda: _card("4", 16),
    lambda: _card("52", 16),
    lambda: _card("37", 15),
)
TEXTS: tuple[tuple[str, str], ...] = (
    *((f"see {(secret := form())} there", secret) for form in _FORMS),
    (f"paid by {(number := _card('4', 16))[:4]} {number[4:8]} {number[8:12]} {number[12:]}", number[4:8] + " " + number[8:12]),
    (_PEM.format(body := _some(64)), body),
    (f"postgresql://app:{(secret := _some(14))}@db.example/x", secret),
    (f"https://{(secret := _some(24))}@git.example/x", secret),
    (f"curl -H 'Authorization: Bearer {(secret := _some(30))}9'", secret),
    (f"line\nAuthorization: {(secret := _basic())}", secret.removeprefix("Basic ")),
    (f"mysql --password {(secret := _some(14))} -u app", secret),
    (f"export DB_PASSWORD={(secret := _some(14))}; ls", secret),
    (f'{{"password": "{(secret := _some(14))}"}}', secret),
    (f"Cookie: session={(secret := _some(30))}", secret),
    (f"GET /x?token={(secret := _some(20))}&a=1", secret),
    (f"line\n{(secret := 'ghp_' + _some(36))}\nline", secret),
    (f"DefaultEndpointsProtocol=https;AccountKey={(secret := _some(86))}==;", secret),
)  # fmt: skip
"""By their form, inside a text: the text and the part that must not be found again."""

SECRETS: tuple[str, ...] = tuple(secret for _, secret in (*NAMED, *TEXTS))


def planted() -> dict[str, object]:
    """All of them, in objects and lists, as an event may carry them."""
    named = dict(NAMED)
    return {"named": named, "deep": [{"args": dict(NAMED[:3])}], "texts": [text for text, _ in TEXTS]}


def found_in(data: bytes | str) -> list[str]:
    """Those of the secrets that are in these bytes."""
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
    return [secret for secret in SECRETS if secret in text]
