"""Lines of web servers' access logs: common and combined format of Apache and nginx, with the W3C names of Sigma.

Both escape what a client sent: Apache as `\\"` and `\\xhh`, nginx as `\\x22`. A request may be empty, or no HTTP.
https://httpd.apache.org/docs/2.4/mod/mod_log_config.html, https://nginx.org/en/docs/http/ngx_http_log_module.html
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any
from urllib.parse import unquote_plus

_QUOTED = r'"((?:[^"\\]|\\.)*)"'
_LINE = re.compile(
    r"(?:(?P<vhost>\S+) )?(?P<address>[0-9A-Fa-f:.]+|[A-Za-z0-9_.-]+) (?P<ident>\S+) (?P<user>\S.*?|) "
    r"\[(?P<time>\d{2}/[A-Z][a-z]{2}/\d{4}:\d{2}:\d{2}:\d{2} [+-]\d{4})\] "
    rf"{_QUOTED} (?P<status>\d{{3}}|-) (?P<size>\d+|-)(?: {_QUOTED} {_QUOTED})?(?P<rest>.*)",
    re.DOTALL,
).fullmatch
_REQUEST = re.compile(r"([A-Za-z][A-Za-z-]{1,19}) (\S.*?)(?: (HTTP/\d(?:\.\d)?))?", re.DOTALL).fullmatch
_ESCAPED = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|(.))")


def parse_access_line(line: str) -> tuple[float, dict[str, Any]] | None:
    """The Unix seconds of the line and its fields; None when it is no line of an access log.

    `decoded` is the path and query without percent signs, twice: attacks hide behind a second layer.
    """
    found = _LINE(line)
    if found is None:
        return None
    try:
        at = datetime.strptime(found["time"], "%d/%b/%Y:%H:%M:%S %z").timestamp()
    except (ValueError, OverflowError):
        return None
    request, referer, agent = found[6], found[9], found[10]
    fields: dict[str, Any] = {
        "c-ip": found["address"],
        "cs-username": found["user"],
        "sc-status": int(found["status"]) if found["status"] != "-" else None,
        "sc-bytes": int(found["size"]) if found["size"] != "-" else None,
        "request": request,
        "message": line,
    }
    if found["vhost"]:
        fields["cs-host"] = found["vhost"]
    if agent is not None:
        fields["cs-referer"], fields["cs-user-agent"] = _unescaped(referer), _unescaped(agent)
        fields["c-useragent"] = fields["cs-user-agent"]
    return at, fields | _request_fields(_unescaped(request))


def _request_fields(request: str) -> dict[str, Any]:
    parts = _REQUEST(request)
    if parts is None:
        return {"http": False}
    method, target, version = parts.groups()
    path, _, query = target.partition("?")
    decoded = unquote_plus(unquote_plus(target))
    return {
        "http": version is not None,
        "cs-method": method,
        "cs-uri": target,
        "c-uri": target,
        "cs-uri-stem": path,
        "cs-uri-query": query if query else target,
        "cs-version": version,
        "decoded": decoded.replace("\\", "/"),
    }


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)) if found[1] else found[2], text)
