"""Writes dist/sbom.cdx.json: what the packages in dist were made with and need, in CycloneDX. `make dist` calls it.

uv exports its lock: each package with its version, its files and their SHA-256. To that come the files of this package.
Two runs over one commit and one dist give the same bytes: the time is that of the commit.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

PROJECT = Path(__file__).parents[1]
DIST = PROJECT / "dist"


def exported() -> dict[str, Any]:
    """The lock in CycloneDX, without the development tools."""
    uv = PROJECT / ".tools" / "bin" / "uv"
    command = [str(uv) if uv.exists() else "uv", "export", "--frozen", "--offline", "--no-dev", "--all-extras", "-q"]
    done = subprocess.run([*command, "--format", "cyclonedx1.5"], cwd=PROJECT, capture_output=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def commit_time() -> datetime:
    """SOURCE_DATE_EPOCH, else when the commit was made."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given is None:
        command = ["git", "log", "-1", "--format=%ct"]
        given = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    return datetime.fromtimestamp(int(given), UTC)


def sbom(document: dict[str, Any], files: list[Path], at: datetime) -> bytes:
    """The document of these files, as it is written."""
    component = document["metadata"]["component"]
    component["purl"] = f"pkg:pypi/{component['name']}@{component['version']}"
    component["externalReferences"] = [
        {
            "type": "distribution",
            "url": path.name,
            "hashes": [{"alg": "SHA-256", "content": sha256(path.read_bytes()).hexdigest()}],
        }
        for path in sorted(files)
    ]
    document["metadata"]["timestamp"] = at.isoformat().replace("+00:00", "Z")
    document.pop("serialNumber", None)
    name = sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    document["serialNumber"] = f"urn:uuid:{uuid5(NAMESPACE_URL, name)}"
    return json.dumps(document, indent=2).encode() + b"\n"


def main() -> int:
    """Write the file, and return the exit code."""
    files = [path for path in DIST.iterdir() if path.name.endswith((".whl", ".tar.gz"))]
    data = sbom(exported(), files, commit_time())
    (DIST / "sbom.cdx.json").write_bytes(data)
    print(f"wrote dist/sbom.cdx.json: {len(json.loads(data)['components'])} packages, {len(files)} files")
    return 0


if __name__ == "__main__":
    sys.exit(main())
