"""Asks OSV for known faults of the packages in uv.lock: `python scripts/audit_dependencies.py`, as `make audit` does.

    OSV_URL=http://127.0.0.1:8080 python scripts/audit_dependencies.py    # another place with the same interface

Exit code 1 when a package has a known fault. Where OSV cannot be asked nothing was audited: that is said, and the exit
code is 0, so that `make check` passes without a network; with --strict it is 3.
"""

from __future__ import annotations

import argparse
import os
import sys
import tomllib
from pathlib import Path
from typing import Any

import httpx

PROJECT = Path(__file__).parents[1]
URL = "https://api.osv.dev"
AT_ONCE = 500
"""Packages in one question; OSV takes 1,000."""


class NoData(Exception):
    """OSV cannot be asked, or answers something else."""


def locked(lock: Path) -> list[tuple[str, str]]:
    """The packages of the lock and their versions, without this one."""
    found = tomllib.loads(lock.read_text("utf-8"))["package"]
    return sorted((one["name"], one["version"]) for one in found if "registry" in one.get("source", {}))


def known_faults(url: str, packages: list[tuple[str, str]]) -> dict[tuple[str, str], list[str]]:
    """The ids of the known faults of those that have some. Raises NoData."""
    found: dict[tuple[str, str], list[str]] = {}
    for start in range(0, len(packages), AT_ONCE):
        some = packages[start : start + AT_ONCE]
        queries = [{"package": {"ecosystem": "PyPI", "name": name}, "version": version} for name, version in some]
        results = _ask(url, {"queries": queries})
        if len(results) != len(some):
            raise NoData(f"{url} answered {len(results)} of {len(some)} questions")
        for package, result in zip(some, results, strict=True):
            if ids := [str(one["id"]) for one in result.get("vulns", ())]:
                found[package] = ids
    return found


def _ask(url: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    try:
        answer = httpx.post(f"{url}/v1/querybatch", json=body, timeout=httpx.Timeout(30, connect=3))
        answer.raise_for_status()
        results = answer.json()["results"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        raise NoData(f"{url} cannot be asked: {type(error).__name__}: {error}") from error
    return [one if isinstance(one, dict) else {} for one in results]


def main() -> int:
    """Print what is known, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--lock", type=Path, default=PROJECT / "uv.lock")
    parser.add_argument("--strict", action="store_true", help="exit code 3 where nothing could be audited")
    options = parser.parse_args()
    packages = locked(options.lock)
    try:
        found = known_faults(os.environ.get("OSV_URL", URL), packages)
    except NoData as error:
        print(f"audit: not audited, there is no data: {error}", file=sys.stderr)
        return 3 if options.strict else 0
    for (name, version), ids in found.items():
        print(f"audit: {name} {version}: {', '.join(ids)}; see https://osv.dev/vulnerability/{ids[0]}")
    print(f"audit: {len(packages)} packages, {len(found)} with known faults")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
