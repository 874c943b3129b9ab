"""What an operator should know about the server that a stream lives on: `brain doctor` shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OLDEST = (7, 0)
FULL = 0.8
"""Share of maxmemory from which on the lack of room is worth a word."""


def weaknesses(info: Mapping[str, Any]) -> list[str]:
    """What endangers the stream, judged by the reply to INFO; each with its remedy."""
    found: list[str] = []
    version = str(info.get("valkey_version") or info.get("redis_version", "0"))
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < OLDEST:
        found.append(f"version {version}: Redis 7 (or any Valkey) is needed")
    policy, limit = str(info.get("maxmemory_policy", "")), int(info.get("maxmemory", 0))
    if policy.startswith("allkeys-"):
        found.append(
            f"maxmemory-policy {policy}: "
            + ("events are deleted" if limit else "once maxmemory is set, events will be deleted")
            + " without a word when memory is short; set noeviction"
        )
    used = int(info.get("used_memory", 0))
    if limit and used > FULL * limit:
        found.append(
            f"memory: {used * 100 // limit} % of maxmemory ({limit >> 20} MiB) are in use; when it is full, "
            "events wait in the producers' journals: raise it, or keep fewer events"
        )
    if not info.get("aof_enabled"):
        found.append(
            "no append-only file: after a restart only what is in the producers' journals comes back; "
            "set appendonly yes"
        )
    if info.get("aof_last_write_status", "ok") != "ok":
        found.append("the append-only file cannot be written: free or repair the disk")
    if info.get("rdb_last_bgsave_status", "ok") != "ok":
        found.append("the last snapshot failed (Redis may refuse events for it): free memory or disk, see its log")
    if info.get("role", "master") != "master":
        found.append("it is a read-only replica: give the URL of the primary, or redis+sentinel://")
    return found
