"""A real manager of systemd for one test: `systemd --user`, where the machine has not been booted by systemd.

It runs in a mount namespace in which /run/systemd says that it was, and which has no control groups but those of
systemd itself, since a manager moves processes of the machine in the others; and in a group of its own, since it moves
all processes of the one that it begins in.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.waiting import wait_until

SYSTEMD = Path("/lib/systemd/systemd")
GROUPS = Path("/sys/fs/cgroup/systemd")
BEGINS = 30.0
"""Seconds in which it is there, where it starts at all: it takes half of one."""
_BEGIN = """
echo $$ > {group}/cgroup.procs &&
mount --make-rprivate / && mount -t tmpfs none /sys/fs/cgroup && mkdir /sys/fs/cgroup/systemd &&
mount -t cgroup -o none,name=systemd none /sys/fs/cgroup/systemd &&
mkdir -p /run/systemd && mount -t tmpfs none /run/systemd && mkdir /run/systemd/system &&
exec {systemd} --user --log-target=console --log-level=warning
"""


@contextmanager
def user_manager(folder: Path, units: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
    """The environment in which `systemctl --user` finds the manager, which knows these units. Skips without one."""
    if not SYSTEMD.is_file() or shutil.which("systemctl") is None or shutil.which("unshare") is None:
        pytest.skip("systemd, systemctl or unshare is not installed")
    if os.geteuid() != 0 or not os.access(GROUPS / "cgroup.procs", os.W_OK):
        pytest.skip("a manager of one's own needs root and the control groups of systemd (name=systemd)")
    runtime, home = folder / "runtime", folder / "home"
    known = home / ".config" / "systemd" / "user"
    known.mkdir(parents=True)
    runtime.mkdir(mode=0o700)
    for name, text in units.items():
        (known / name).write_text(text)
    group = GROUPS / f"brain-test-{os.getpid()}"
    group.mkdir()
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "XDG_RUNTIME_DIR": str(runtime)}
    command = ["unshare", "--mount", "sh", "-c", _BEGIN.format(group=group, systemd=SYSTEMD)]
    manager = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        try:
            wait_until(lambda: manager.poll() is not None or (runtime / "systemd" / "private").exists(), BEGINS)
        except TimeoutError:
            pytest.skip(f"systemd --user does not start here within {BEGINS:g} s")
        if manager.poll() is not None:
            assert manager.stderr is not None
            pytest.skip(f"systemd --user does not start here: {manager.stderr.read()[-300:]}")
        yield environment
    finally:
        manager.terminate()
        try:
            manager.wait(30)
        except subprocess.TimeoutExpired:
            manager.kill()
            manager.wait()
        wait_until(lambda: _removed(group), 30)


def _removed(group: Path) -> bool:
    """Whether the group and those within it are gone; what still runs in one is killed."""
    for inner in sorted(group.rglob("*"), key=lambda path: -len(path.parts)):
        if inner.is_dir():
            _end(inner)
    _end(group)
    return not group.exists()


def _end(group: Path) -> None:
    try:
        for pid in (group / "cgroup.procs").read_text().split():
            os.kill(int(pid), 9)
        group.rmdir()
    except OSError:
        return
