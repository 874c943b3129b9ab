"""Secrets replaced by marks, before anything is written: in events, logs, kept deliveries and the state of plug-ins.

What is a secret is known by its name (`password`, `api_key`, a header `Authorization`) or by its form (keys of known
vendors, payment cards with a right check digit, private keys, URLs with a password). A mark is
`redacted:<kind>:<16 hex digits>`; the digits are a keyed hash of the value, so that equal values stay comparable.
A secret that is split over two fields, encoded again, or has no name and no known form is not found.

Sources: the vendors' own forms as GitHub's "Supported secret scanning patterns" lists them; ISO/IEC 7812 (check digit,
prefixes of issuers); RFC 9110 and 6265 (headers); RFC 7468 (private keys); RFC 2104 (HMAC), RFC 5869 (HKDF).
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

MARK = "redacted:"
_MARKS = re.compile(r"redacted:[a-z-]+:[0-9a-f]{16}").finditer
_KEY_BYTES = 32
_DEPTH = 150
"""Levels that are looked at: more than events, state and requests may have, which are refused elsewhere."""

NAMES: Final = frozenset(
    [
        "password",
        "passwd",
        "passwort",
        "passphrase",
        "pwd",
        "secret",
        "secrets",
        "token",
        "authorization",
        "cookie",
        "cookies",
        "credential",
        "credentials",
        "jwt",
        "cvv",
        "cvc",
        "apikey",
        "accesskey",
        "privatekey",
        "secretkey",
        "sessionkey",
        "signingkey",
        "encryptionkey",
        "accountkey",
        "authkey",
    ]
)
"""Words, and pairs of words written as one, that make a name that of a secret."""
_SPARED: Final = frozenset(
    [
        "count",
        "counts",
        "limit",
        "usage",
        "type",
        "kind",
        "length",
        "size",
        "max",
        "min",
        "budget",
        "cost",
        "price",
        "name",
        "names",
        "expires",
        "expiry",
        "ttl",
        "at",
        "age",
        "policy",
        "required",
        "url",
        "uri",
        "endpoint",
        "file",
        "path",
        "env",
        "id",
        "ids",
        "present",
        "valid",
        "changed",
        "reset",
        "used",
        "total",
        "remaining",
        "rate",
        "version",
        "algorithm",
        "scope",
        "scopes",
        "status",
        "state",
        "index",
        "tokens",
        "seconds",
    ]
)
"""Last words of names that say something of a secret, and do not hold it."""
_TEXT_ONLY: Final = frozenset({"token", "cookie", "cookies", "jwt"})
"""Names under which a number is none: counts, most of all."""
_SHORTEST: Final = 7
"""Characters of the shortest text that is looked at for a known form."""
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_a-zA-Z]+")

_VENDORS: Final[Mapping[str, str]] = {
    "aws-key": r"(?:AKIA|ASIA|AROA|AIDA)[A-Z2-7]{16}",
    "github-token": r"gh[pousr]_[0-9A-Za-z]{36,}|github_pat_[0-9A-Za-z_]{22,}",
    "gitlab-token": r"gl(?:pat|dt|rt|ptt|cbt|soat|ft)-[0-9A-Za-z_-]{20,}",
    "slack-token": r"xox[abeoprs]-[0-9A-Za-z-]{10,}|xapp-[0-9A-Za-z-]{10,}",
    "slack-webhook": r"hooks\.slack\.com/services/T[0-9A-Z]{6,12}/B[0-9A-Z]{6,12}/[0-9A-Za-z]{16,32}",
    "stripe-key": r"[rs]k_(?:live|test)_[0-9A-Za-z]{16,}",
    "webhook-key": r"whsec_[0-9A-Za-z+/=]{24,}",
    "google-key": r"AIza[0-9A-Za-z_-]{35}|ya29\.[0-9A-Za-z_-]{20,}|GOCSPX-[0-9A-Za-z_-]{28}",
    "anthropic-key": r"sk-ant-[0-9A-Za-z_-]{20,}",
    "openai-key": r"sk-(?:proj-|svcacct-)?[0-9A-Za-z_-]{32,}",
    "npm-token": r"npm_[0-9A-Za-z]{36}",
    "pypi-token": r"pypi-[0-9A-Za-z_-]{50,}",
    "huggingface-token": r"hf_[0-9A-Za-z]{34,40}",
    "sendgrid-key": r"SG\.[0-9A-Za-z_-]{22}\.[0-9A-Za-z_-]{43}",
    "twilio-key": r"SK[0-9a-f]{32}",
    "azure-key": r"AccountKey=[0-9A-Za-z+/]{40,100}={0,2}",
    "vault-token": r"hv[sbr]\.[0-9A-Za-z_-]{24,}",
    "brain-key": r"brn_[0-9A-Za-z]{36}",
    "brain-link": r"brl_[0-9A-Za-z_-]{60,}",
    "age-key": r"AGE-SECRET-KEY-1[0-9A-Z]{58}",
    "jwt": r"eyJ[0-9A-Za-z_-]{8,}\.eyJ[0-9A-Za-z_-]{8,}\.[0-9A-Za-z_-]{16,}",
}
_PRIVATE_KEY = r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z ]{0,30}PRIVATE KEY-----|\z)"
_URL_PASSWORD = r"(?i:[a-z][a-z0-9+.-]{1,30})://[^\s/?#@:\"'<>]*:([^\s/?#@\"'<>]{1,})@"
_URL_TOKEN = r"(?i:https?)://([^\s/?#@:\"'<>]{16,})@"
_NAME = (
    r"(?:password|passwd|passwort|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|secret[_-]?key"
    r"|private[_-]?key)"
)
_HEADER = (
    r"(?i:(?:proxy-)?authorization|(?:set-)?cookie|x-(?:api-key|auth-token|vault-token))[\"']?\s{0,3}:\s{0,3}[\"']?"
    r"([^\r\n\"']{4,})"
)
_ASSIGNED = rf"(?i:\b[a-z0-9_-]{{0,40}}{_NAME})(?:\s?=\s?|[\"']\s{{0,3}}[:=]\s{{0,3}}[\"'])[\"']?([^\s\"'&,;<>]{{3,}})"
_OPTION = rf"(?i:--[a-z0-9-]{{0,40}}{_NAME})[ =][\"']?([^\s\"'-][^\s\"']{{2,}})"
_SCHEME = r"(?i:\b(?:bearer|basic))\s{1,3}([0-9A-Za-z+/_.~=-]{8,})"
_CARD = r"(?:\b|_)([2-6][0-9]{3}(?:[ -]?[0-9]{4}){2}[ -]?[0-9]{1,7}|3[0-9]{3}[ -]?[0-9]{6}[ -]?[0-9]{4,5})(?:\b|_)"

_SAMPLE: Final = (
    b'{"id":"evt_policy_1703001234567_9f3ac81b2d40a1c7","type":"policy.rule_evaluated","source":"policy_service",'
    b'"target":null,"timestamp":1703001234.567,"payload":{"agent_id":"a1","agent_role":"guest","action":"delete",'
    b'"resource":"db/customers","environment":{},"params":{"amount":12},"effect":"DENY","rule_id":"guests",'
    b'"reason":"denied by rule \'guests\' (guests, priority 100): no","evaluation_time_us":0.8},'
    b'"meta":{"correlation_id":"req_0123456789abcdef","version":"1.0"}}'
)
"""An event as most are: the automaton makes its states when it first needs them."""
_QUICK: Final = (
    *(re.sub(r"\{(\d+),\d*\}(?=\||$)", r"{\1}", pattern) for pattern in _VENDORS.values()),
    r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----",
    r"://[^\s/?#@:\"<>]*:[^\s/?#@\"<>]+@",
    _URL_TOKEN,
    r"(?:^|[^.0-9])[2-6][0-9]{3}(?:[ -]?[0-9]{4}){2}[ -]?[0-9]",
    r"(?:^|[^.0-9])3[0-9]{3}[ -]?[0-9]{6}[ -]?[0-9]{4}",
    r"(?i:bearer|basic)(?:\s|\\t)+[0-9A-Za-z+/_.~=-]{8}",
    r"(?i:authorization|cookie|x-(?:api-key|auth-token|vault-token))\s{0,3}:\s{0,3}[^\s\",]",
)
"""What may be found in a text; it says only that a closer look is worth it."""


class _State:
    """What the process redacts, and with which key."""

    def __init__(self) -> None:
        self.enabled = True
        self.names = NAMES
        self.added: frozenset[str] = frozenset()
        self.spared: frozenset[str] = frozenset()
        self.key: bytes | None = None
        self.key_source = "of this process alone"
        self.key_file: Path | None = None


_state = _State()


def configure(
    *, enabled: bool = True, names: Iterable[str] = (), spared: Iterable[str] = (), key: str | None = None
) -> None:
    """Set what this process redacts: more `names`, names that are `spared`, and the `key` of the marks."""
    given = [_words_of(name) for name in names]
    wanted = NAMES | {"".join(words) for words in given}
    forms = (str.lower, str.upper, str.capitalize)  # RE2 sees bytes, and ignores the case of ASCII alone
    added = frozenset("[_ .-]?".join(re.escape(form(word)) for word in words) for words in given for form in forms)
    free = frozenset("".join(_words_of(name)) for name in spared)
    changed = (wanted, free) != (_state.names, _state.spared)
    _state.enabled, _state.names, _state.added, _state.spared = enabled, wanted, added, free
    if key is not None:
        _state.key, _state.key_source = _derived(key.encode()), "of the settings"
    for known in _memories:
        known.clear()
    if changed:
        _kind_of.cache_clear()
        _scanner.cache_clear()
        _clean_names.clear()


def use_key_file(path: Path) -> None:
    """Take the key of the marks from this file, made when the first mark is, unless another one was named before."""
    if _state.key is None and _state.key_file is None:
        _state.key_file, _state.key_source = path, str(path)


def prepare() -> None:
    """Build what looks for secrets, so that the first events need not wait for it: some milliseconds."""
    if _state.enabled:
        _scanner()(_SAMPLE)
        _text_scanner()(_SAMPLE)


def _key() -> bytes:
    """The key of the marks; one of this process alone where the file can be neither read nor made."""
    if _state.key is None:
        secret = b""
        if _state.key_file is not None:
            try:
                secret = _key_in(_state.key_file)
            except OSError:
                secret = b""
        if len(secret) < _KEY_BYTES:
            secret, _state.key_source = os.urandom(_KEY_BYTES), "of this process alone"
        _state.key = _derived(secret)
    return _state.key


def _key_in(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.urandom(8).hex()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, os.urandom(_KEY_BYTES).hex().encode())
    finally:
        os.close(descriptor)
    try:
        os.link(draft, path)  # whole, or not at all, and never over that of another process
    except FileExistsError:
        pass
    finally:
        draft.unlink(missing_ok=True)
    return path.read_bytes()


def _derived(secret: bytes) -> bytes:
    """HKDF-SHA256 with one block: the key for marks is of no use elsewhere."""
    extracted = hmac.digest(b"brain redaction v1", secret, "sha256")
    return hmac.digest(extracted, b"marks\x01", "sha256")


def description() -> str | None:
    """What is redacted here and where the key of the marks is, for `brain doctor`; None when nothing is."""
    if not _state.enabled:
        return None
    return (
        f"{len(_state.names)} names and {len(_IN_TEXT)} forms of secrets are replaced; the key is {_state.key_source}"
    )


def mark(kind: str, value: object) -> str:
    """The mark that stands for a value: the same for the same value, under one key."""
    import msgspec

    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    digest = hmac.new(_key(), text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
    return f"{MARK}{kind}:{digest[:16]}"


def is_clean(*values: Any) -> bool:
    """Whether each name and text in these values was looked at, now or before, and holds no secret.

    Most texts of events come again and again, so this costs less than to look through the encoded event; and RE2 lets
    other threads run meanwhile, for which the publisher then waits. False says only that a closer look is worth it.
    """
    return not _state.enabled or is_seen_clean(*values)


SEEN_DEPTH: Final = 16
"""Levels that `is_seen_clean` looks at; what has more is not clean to it."""


def is_seen_clean(*values: Any) -> bool:
    """As `is_clean`, and False where nothing is redacted: so True says also that the values are JSON, and not deep."""
    try:
        return _state.enabled and _are_clean(values, SEEN_DEPTH)
    except RuntimeError:  # another thread changes a dictionary meanwhile
        return False


def is_seen_clean_event(payload: Any, meta: Any, target: Any) -> bool:
    """As `is_seen_clean` of these parts of an event: most have fields as other ones had, and the meta of the last."""
    try:
        if not _state.enabled or not ((type(payload) is dict and is_known_clean(payload)) or is_seen_clean(payload)):
            return False
        if type(meta) is not dict or meta != _last_meta.get("meta"):
            if not is_seen_clean(meta):
                return False
            if is_known_clean(meta):  # and nothing that could be changed in the copy too
                _last_meta["meta"] = meta.copy()
        return target is None or is_seen_clean(target)
    except (RuntimeError, ValueError):  # another thread changes a dictionary; a value that cannot be compared
        return False


def _are_clean(values: Iterable[Any], depth: int) -> bool:
    for value in values:
        kind = type(value)
        if kind is str:
            if value not in _clean_texts and not _learn_text(value):
                return False
        elif kind is dict:
            if value and not (depth and _is_clean_object(value, depth - 1)):
                return False
        elif kind is int:
            if value > _LEAST_CARD:
                return False
        elif kind is float:
            if value - value != 0:  # no number of JSON
                return False
        elif kind is not bool and value is not None and not (kind in _LISTS and depth and _are_clean(value, depth - 1)):
            return False
    return True


def _is_clean_object(value: dict[Any, Any], depth: int) -> bool:
    if not _names_known(value) and not all(map(_learn_name, value)):
        return False
    return _are_clean(value.values(), depth)


_LISTS: Final = frozenset({list, tuple})
_LEAST_CARD: Final = 10**11
_clean_names: set[Any] = set()
_clean_texts: set[str] = set()
_names_known = _clean_names.issuperset
_memories: list[dict[Any, Any]] = []

are_known_clean: Callable[[Iterable[Any]], bool] = _clean_texts.issuperset
"""Whether all of these texts were looked at before, and hold no secret. For hot paths; raises TypeError for a list."""


def is_known_clean(value: dict[Any, Any]) -> bool:
    """Whether this object holds just texts that were looked at before, plain numbers, true, false and null. For hot
    paths: about 35 ns a field."""
    if not _names_known(value):
        return False
    for member in value.values():
        kind = type(member)
        if kind is str:
            if member in _clean_texts:
                continue
        elif kind is int:
            if member <= _LEAST_CARD:
                continue
        elif member is None or kind is bool or (kind is float and member - member == 0):
            continue
        return False
    return True


def memory() -> dict[Any, Any]:
    """A dictionary in which a module keeps what it found clean; `configure` empties it. Called once in each module."""
    known: dict[Any, Any] = {}
    _memories.append(known)
    return known


_last_meta = memory()


def _learn_name(name: Any) -> bool:
    return type(name) is str and _kind_of(name) is None and _learn_text(name, _clean_names)


def _learn_text(text: str, known: set[Any] = _clean_texts) -> bool:
    """Look at the text; one without a secret is remembered, unless it is long. The number of those is bounded."""
    if len(text) > 256 or (len(text) >= _SHORTEST and _text_scanner()(text.encode("utf-8", "surrogatepass"))):
        return False
    _remember(text, known)
    return True


def _remember(text: str, known: set[Any]) -> None:
    if len(known) >= 8_192:
        known.clear()
    known.add(text)


def remember_clean(text: str) -> None:
    """Say that a text holds no secret, since this very process made it; it need not be looked at in events."""
    _remember(text, _clean_texts)


def redacted_json(data: bytes) -> bytes:
    """The encoded JSON with each secret in it replaced; the very same bytes where there is none."""
    if not _state.enabled or not _scanner()(data):
        return data
    import msgspec

    value = msgspec.json.decode(data)
    changed = _walk(value, "")
    return data if changed == value else msgspec.json.encode(changed)


def redacted_event(data: bytes) -> bytes:
    """As `redacted_json`, for an encoded envelope: its id, type and source, which come first, can hold no secret."""
    if not _state.enabled or not _scanner()(data, max(0, data.find(b',"target":'))):
        return data
    return redacted_json(data)


def redacted_body(body: bytes) -> bytes:
    """The bytes that somebody else wrote, as JSON or not, with each secret replaced; the same bytes without one."""
    if not _state.enabled:
        return body
    import msgspec

    try:
        written = msgspec.json.encode(msgspec.json.decode(body))  # escapes of others would hide a secret
    except (ValueError, RecursionError):
        text = body.decode("utf-8", "surrogateescape")
        shown = redacted_text(text)
        return body if shown == text else shown.encode("utf-8", "surrogateescape")
    found_none = (kept := redacted_json(written)) == written
    return body if found_none else kept


def redacted(value: Any, name: str = "") -> Any:
    """A copy of the value with each secret in it replaced. `name` is the one that it has where it is kept."""
    return _walk(value, name) if _state.enabled else value


def redacted_text(text: str) -> str:
    """The text with each secret of a known form replaced."""
    if not _state.enabled or not _scanner()(text.encode("utf-8", "surrogatepass")):
        return text
    return _in_text(text, "")


def may_hold_secret(data: bytes) -> bool:
    """Whether a closer look at these bytes, of any form, is worth it: one pass over them."""
    return _state.enabled and _text_scanner()(data)


def holds_secret(text: str, name: str = "id") -> bool:
    """Whether there is a secret in the text; under the `name` of an id, a number that may be a card's is none."""
    return not is_clean(text) and redacted(text, name) != text


def _walk(value: Any, name: str, depth: int = 0) -> Any:
    if depth > _DEPTH:
        return value
    kind = _kind_of(name)
    if kind is not None:
        return _all_of(value, kind, depth)
    if isinstance(value, str):
        return _in_text(value, name)
    if isinstance(value, Mapping):
        return {
            _in_text(key, "") if isinstance(key, str) else key: _walk(one, str(key), depth + 1)
            for key, one in value.items()
        }
    if isinstance(value, list | tuple):
        return [_walk(one, name, depth + 1) for one in value]
    if type(value) is int and value > _LEAST_CARD and _is_card(str(value)) and not _names_an_id(name):
        return mark("card", str(value))
    return value


def _all_of(value: Any, kind: str, depth: int) -> Any:
    """What is kept under a secret's name: each text and number in it."""
    if depth > _DEPTH:
        return value
    if isinstance(value, Mapping):
        return {key: _all_of(one, kind, depth + 1) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_all_of(one, kind, depth + 1) for one in value]
    if value is None or isinstance(value, bool) or value == "":
        return value
    if isinstance(value, str):
        return value if value.startswith(MARK) else mark(kind, value)
    return value if kind in _TEXT_ONLY else mark(kind, value)


@lru_cache(maxsize=10_000)
def _kind_of(name: str) -> str | None:
    """The kind of secret that a name says; None for most names."""
    words = _words_of(name[:200])
    if not words or words[-1] in _SPARED or "".join(words) in _state.spared:
        return None
    pairs = ["".join(pair) for pair in pairwise(words)]
    return next((word for word in (*pairs, *words, "".join(words)) if word in _state.names), None)


def _words_of(name: str) -> list[str]:
    return [word.lower() for word in _WORDS.findall(name)]


def _names_an_id(name: str) -> bool:
    words = _words_of(name[:200])
    return bool(words) and words[-1] in ("id", "ids", "uuid", "hash", "digest", "position", "offset")


def _in_text(text: str, name: str) -> str:
    if len(text) < _SHORTEST or not _text_scanner()(text.encode("utf-8", "surrogatepass")):
        return text
    for kind, pattern, is_one in _in_text_patterns():
        if kind != "card" or not _names_an_id(name):
            text = _replaced(text, kind, pattern, is_one)
    return text


def _replaced(text: str, kind: str, pattern: Any, is_one: Callable[[str], bool]) -> str:
    """The text with what the pattern's group has, where there is one, replaced."""
    parts: list[str] = []
    end = 0
    marks = [found_here.span() for found_here in _MARKS(text)] if MARK in text else ()
    for found_here in pattern.finditer(text):
        group = 1 if found_here.re.groups else 0
        value, (start, stop) = found_here[group], found_here.span(group)
        if not is_one(value) or any(first <= start and stop <= last for first, last in marks):
            continue
        parts += [text[end:start], mark(kind, value)]
        end = stop
    return "".join([*parts, text[end:]]) if parts else text


def _is_card(digits: str) -> bool:
    """Whether it has the prefix, the length and the check digit of a payment card."""
    digits = digits.replace(" ", "").replace("-", "")
    if not _ISSUERS(digits) or len(set(digits)) < 2:
        return False
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (doubled + sum(map(int, digits[-1::-2]))) % 10 == 0


_ISSUERS = re.compile(
    r"4\d{12}(?:\d{3}){0,2}|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}"
    r"|3(?:0[0-5]|[689]\d)\d{11}|(?:6011|64[4-9]\d|65\d\d)\d{12}|35(?:2[89]|[3-8]\d)\d{12}"
).fullmatch


def _is_credential(text: str) -> bool:
    """Whether what follows Bearer or Basic is no word of a sentence."""
    if len(text) >= 16 and re.search(r"[0-9.]", text):
        return True
    try:
        return b":" in b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return False


def _always(_: str) -> bool:
    return True


_IN_TEXT: Final[tuple[tuple[str, str, Callable[[str], bool]], ...]] = (
    ("private-key", _PRIVATE_KEY, _always),
    *((kind, rf"(?:\b|_)({pattern})", _always) for kind, pattern in _VENDORS.items()),
    ("url-password", _URL_PASSWORD, _always),
    ("url-token", _URL_TOKEN, _always),
    ("header", _HEADER, _always),
    ("credential", _SCHEME, _is_credential),
    ("option", _OPTION, _always),
    ("assigned", _ASSIGNED, _always),
    ("card", _CARD, _is_card),
)


@cache
def _in_text_patterns() -> list[tuple[str, Any, Callable[[str], bool]]]:
    from brain.regular_expressions import Pattern, re2

    options = re2.Options()
    options.log_errors = False
    return [(kind, Pattern(pattern, options), is_one) for kind, pattern, is_one in _IN_TEXT]


@cache
def _text_scanner() -> Callable[[bytes], bool]:
    """Whether a closer look at a text is worth it."""
    return _matching([*_QUICK, _ASSIGNED, _OPTION])


@cache
def _scanner() -> Callable[..., bool]:
    """Whether a closer look at encoded JSON, or a text, is worth it: one pass of one automaton over the bytes."""
    words = "|".join(sorted(re.escape(name) for name in NAMES - {"token"}))
    spelled = re.sub(r"(?<=api|ess|ate|ret|ion|ing|unt|uth)key", "[_ .-]?key", words)
    spelled = "|".join([spelled, *sorted(_state.added)])
    named = rf"(?i:(?:{spelled})[^\"]{{0,60}}\":|token(?:[^s\"][^\"]{{0,60}})?\":)"
    assigned = rf"(?i:{_NAME}(?:\s?=|(?:\\\"|')\s{{0,3}}[:=])|--[a-z0-9-]{{0,40}}{_NAME} )"
    return _matching([*_QUICK, named, assigned])


def _matching(patterns: Iterable[str]) -> Callable[..., bool]:
    from brain.regular_expressions import Pattern, re2

    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.encoding = re2.Options.Encoding.LATIN1  # bytes as they are: half the automaton
    options.max_mem = 64 << 20
    pattern = Pattern("|".join(f"(?:{one})" for one in patterns).encode(), options)
    anywhere = re2._re2.RE2.Anchor.UNANCHORED

    def matches(data: bytes, start: int = 0) -> bool:
        return bool(pattern._regexp.Match(anywhere, data, start, len(data))[0][0] >= 0)

    return matches
