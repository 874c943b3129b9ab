"""What a Redis URL says: which servers, who logs in, over TLS or not, and which stream.

    redis://user:password@host:6379/0               one server (or Valkey); rediss:// is the same over TLS
    unix://user:password@/run/redis.sock?db=0       one server, through its socket file
    redis+sentinel://host:26379,host:26379/name/0   the primary that these Sentinels know under a name; rediss+sentinel://
    redis+cluster://host:6379,host:6379             a Cluster, found through any of these nodes; rediss+cluster://

Options follow as `?name=value&...`: see OPTIONS and docs/redis.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from brain.errors import InvalidInput

SCHEMES = (
    "redis",
    "rediss",
    "unix",
    "redis+sentinel",
    "rediss+sentinel",
    "redis+cluster",
    "rediss+cluster",
)
_FORMS = {
    "server": "redis://host:6379/0",
    "unix": "unix:///run/redis/redis.sock?db=0",
    "sentinel": "redis+sentinel://host:26379,host:26379/service/0",
    "cluster": "redis+cluster://host:6379,host:6379",
}
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_SECRET_OPTIONS = re.compile(r"(?i)([?&;][^=&;]*password=)[^&;\s]*")


def _seconds(text: str) -> float:
    if not re.fullmatch(r"\d{1,4}(\.\d{1,6})?", text) or float(text) < 0.2:  # Redis itself ticks by 0.1 s
        raise ValueError("must be a number of seconds, from 0.2 to 9999")
    return float(text)


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("must be true or false")
    return text.lower() == "true"


def _file(text: str) -> str:
    if not Path(text).exists():
        raise ValueError("does not exist")
    return text


def _requirement(text: str) -> str:
    if text not in ("required", "optional", "none"):
        raise ValueError("must be required, optional or none")
    return text


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError("must be 1 to 100 letters, digits, '-', '_' or '.'")
    return text


def _database(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError("must be the number of a database")
    return int(text)


OPTIONS: Mapping[str, Callable[[str], object]] = {
    "stream": _name,
    "db": _database,
    "socket_timeout": _seconds,
    "socket_connect_timeout": _seconds,
    "client_name": _name,
    "ssl_ca_certs": _file,
    "ssl_ca_path": _file,
    "ssl_certfile": _file,
    "ssl_keyfile": _file,
    "ssl_password": str,
    "ssl_cert_reqs": _requirement,
    "ssl_check_hostname": _truth,
    "sentinel_username": str,
    "sentinel_password": str,
}
"""Options of a URL; those that redis-py knows have its names and meanings. `stream` names the stream (default: brain):
several are independent of each other on one server, and `{name}:*` are the keys of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisUrl:
    """The parts of a URL; made by `parse`. Its repr and `where` hold no secrets."""

    kind: str
    """`server`, `unix`, `sentinel` or `cluster`."""
    tls: bool
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    """The socket file of `unix`."""
    service: str = ""
    """The name that Sentinels know the primary by."""
    db: int = 0
    stream: str = "brain"
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    options: Mapping[str, object] = field(default_factory=dict, repr=False)
    """The rest of the options, checked, as redis-py's connections take them."""

    @property
    def where(self) -> str:
        """The place in words fit for messages and logs."""
        if self.kind == "unix":
            return f"Redis at {self.path}"
        addresses = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        addresses += " over TLS" if self.tls else ""
        if self.kind == "sentinel":
            return f"Redis {self.service!r} of the Sentinels at {addresses}"
        return f"Redis Cluster at {addresses}" if self.kind == "cluster" else f"Redis at {addresses}"

    @property
    def identity(self) -> str:
        """The same for every URL of one stream, however it logs in and whatever its options are."""
        addresses = sorted(f"{host}:{port}" for host, port in self.hosts)
        named = () if self.stream == "brain" else (self.stream,)
        return "/".join(part for part in (*addresses, self.path.strip("/"), self.service, str(self.db), *named) if part)


def parse(url: str) -> RedisUrl:
    """The parts of the URL. Raises InvalidInput, whose message says what to write and holds no secret."""
    scheme, found, _ = url.partition("://")
    if not found or scheme not in SCHEMES:
        raise InvalidInput(f"Redis URL {masked(url)!r}: start it with one of {', '.join(f'{s}://' for s in SCHEMES)}")
    kind = {"unix": "unix", "redis": "server", "rediss": "server"}.get(scheme) or scheme.partition("+")[2]
    tls = scheme.startswith("rediss")
    hint = f"write {_FORMS[kind]}; user:password@ goes before the host, special characters in it percent-encoded"
    try:
        parts = urlsplit(url)
        address = parts.netloc.rpartition("@")[2]
        if "@" in parts.path + parts.query or parts.fragment:
            raise ValueError("a password with unescaped characters spilled over")
        hosts = () if kind == "unix" else tuple(_host(one, kind) for one in address.split(","))
        if (kind == "unix" and (address or not parts.path)) or (kind == "server" and len(hosts) != 1):
            raise ValueError("hosts")
    except ValueError:  # its text may quote such a password, so it is kept to itself
        raise InvalidInput(f"Redis URL: the address cannot be read; {hint}") from None
    options = _options(parts, tls, kind)
    service, db = _path(parts.path, kind, hint)
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    chosen_db, stream = options.pop("db", db), options.pop("stream", "brain")
    assert isinstance(chosen_db, int)
    if kind == "cluster" and chosen_db:
        raise InvalidInput("Redis URL: a Cluster has database 0 only; name streams by ?stream=... instead")
    return RedisUrl(
        kind=kind,
        tls=tls,
        hosts=hosts,
        path=unquote(parts.path) if kind == "unix" else "",
        service=service,
        db=chosen_db,
        stream=str(stream),
        username=unquote(user) or None,
        password=unquote(password) or None,
        options=options,
    )


def checked_text(url: object, of: str) -> str:
    """The URL of a stream or store as given. Raises InvalidInput when it is no text, such as a Path."""
    if not isinstance(url, str):
        raise InvalidInput(f"{of} URL: {url!r} is no text; write it as 'sqlite:///brain.db'")
    return url


def masked(url: str) -> str:
    """The URL without its user and passwords, for messages and logs; any URL, also one that cannot be read."""
    scheme, found, rest = url.partition("://")
    login, at, address = rest.rpartition("@")
    if at and not login.startswith("/"):
        rest = f"***@{address}"
    return _SECRET_OPTIONS.sub(r"\1***", f"{scheme}{found}{rest}")


def _host(text: str, kind: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname or parts.path:
        raise ValueError("no host")
    return unquote(parts.hostname), parts.port or (26379 if kind == "sentinel" else 6379)


def _path(path: str, kind: str, hint: str) -> tuple[str, int]:
    """The service and the database that the path names."""
    names = [] if kind == "unix" else [unquote(name) for name in path.strip("/").split("/") if name]
    service = names.pop(0) if kind == "sentinel" and names else ""
    try:
        db = _database(names.pop(0)) if names else 0
    except ValueError as error:
        raise InvalidInput(f"Redis URL: the database {error}; {hint}") from None
    if names or (kind == "sentinel" and not service):
        raise InvalidInput(f"Redis URL: the path cannot be read; {hint}")
    return service, db


def _options(parts: SplitResult, tls: bool, kind: str) -> dict[str, object]:
    options: dict[str, object] = {}
    faults = []
    for name, text in parse_qsl(parts.query, keep_blank_values=True):
        if name not in OPTIONS:
            faults.append(f"{name[:40]}: is not known here; known are {', '.join(OPTIONS)}")
        elif name.startswith("ssl_") and not tls:
            faults.append(f"{name}: has no effect without TLS; write rediss:// for it")
        elif name.startswith("sentinel_") and kind != "sentinel":
            faults.append(f"{name}: is for redis+sentinel:// only")
        else:
            try:
                options[name] = OPTIONS[name](text)
            except ValueError as error:
                faults.append(f"{name}: {text[:100]!r} {error}")
    if faults:
        raise InvalidInput("Redis URL: " + "; ".join(faults), faults)
    return options
