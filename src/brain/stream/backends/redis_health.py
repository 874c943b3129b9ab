"""What an operator should know about the server that a stream lives on: `brain doctor` shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OLDEST = (7, 0)
FULL = 0.8
"""Share of maxmemory from which on the lack of room is worth a word."""


def weaknesses(info: Mapping[str, Any]) -> list[str]:
    """What endangers the stream, judged by the reply to INFO; each as `finding; remedy`."""
    found: list[str] = []
    version = str(info.get("valkey_version") or info.get("redis_version", "0"))
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < OLDEST:
        found.append(f"version {version} is too old; use Redis 7 or newer, or any Valkey")
    if info.get("role", "master") != "master":
        found.append("it is a read-only replica; give the URL of the primary, or redis+sentinel://")
    policy, limit = str(info.get("maxmemory_policy", "")), int(info.get("maxmemory", 0))
    if policy.startswith("allkeys-"):
        when = "when memory is short" if limit else "once maxmemory is set and reached"
        found.append(f"maxmemory-policy {policy}: events are deleted without a word {when}; set it to noeviction")
    used = int(info.get("used_memory", 0))
    if limit and used > FULL * limit:
        share = used * 100 // limit
        found.append(
            f"{share} % of maxmemory ({limit >> 20} MiB) are in use, and when it is full events wait in the producers' "
            "journals; raise it, or keep fewer events"
        )
    if not info.get("aof_enabled"):
        found.append(
            "no append-only file: after a restart only what the producers' journals still hold comes back; "
            "set appendonly yes"
        )
    if info.get("aof_last_write_status", "ok") != "ok":
        found.append("the append-only file cannot be written; free or repair the disk")
    if info.get("rdb_last_bgsave_status", "ok") != "ok":
        found.append("the last snapshot failed, and Redis may refuse events for it; free memory or disk, see its log")
    return found
