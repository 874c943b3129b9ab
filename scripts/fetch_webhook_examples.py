"""Fetches the recorded payloads of GitHub's webhooks: npm's @octokit/webhooks-examples 7.6.1 (MIT), 726 examples.

    python scripts/fetch_webhook_examples.py [FOLDER]

Needs `npm`, which asks the registry that it is set up with. The archive is checked by its SHA-256, and kept outside the
repository: in FOLDER, else below ~/.cache. Prints the folder that holds the files.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "@octokit/webhooks-examples@7.6.1"
ARCHIVE = "octokit-webhooks-examples-7.6.1.tgz"
SHA256 = "89e6cb1c6345d32e3dd775617fa54effbdc26c859e514898d7728e95e9738280"
CACHE = Path.home() / ".cache" / "brain-eventstream-tests"
SECONDS = 120


def fetch(cache: Path) -> Path:
    """The folder with the files, fetched when it is not there. Raises OSError when it cannot be had."""
    folder = cache / ARCHIVE.removesuffix(".tgz")
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as new:
        _download(Path(new))
        archive = Path(new) / ARCHIVE
        found = hashlib.sha256(archive.read_bytes()).hexdigest()
        if found != SHA256:
            raise OSError(f"{ARCHIVE} has the SHA-256 {found}, and not {SHA256}")
        with tarfile.open(archive) as packed:
            packed.extractall(new, filter="data")
        try:
            (Path(new) / "package").rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was quicker
                raise
    return folder


def _download(folder: Path) -> None:
    command = ["npm", "pack", PACKAGE, "--silent"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise OSError(f"npm gave no answer within {SECONDS} s") from error
    if done.returncode:
        raise OSError(f"npm pack failed: {done.stderr.strip()[-300:]}")


if __name__ == "__main__":
    print(fetch(Path(sys.argv[1]) if len(sys.argv) > 1 else CACHE))
