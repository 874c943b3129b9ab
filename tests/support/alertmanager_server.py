"""A real Alertmanager (Debian's 0.25) on a free loopback port; skips where it cannot be had."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from support.ports import free_port
from support.waiting import wait_until

DATA = Path(os.environ.get("BRAIN_TEST_DATA", "") or Path.home() / ".cache" / "brain-eventstream-tests")
CACHE = DATA / "alertmanager"
_SHARE = b"/usr/share/prometheus/alertmanager"


def binary() -> str:
    """The program: on the PATH, or out of Debian's package, which is only unpacked: installing it starts a server."""
    for name in ("prometheus-alertmanager", "alertmanager"):
        if (found := shutil.which(name)) is not None:
            return found
    unpacked = CACHE / "alertmanager"
    if not unpacked.exists():
        _unpack(unpacked)
    return str(unpacked)


def _unpack(to: Path) -> None:
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        pytest.skip("no alertmanager on the PATH, and no apt-get to fetch Debian's")
    CACHE.mkdir(parents=True, exist_ok=True)
    command = ["apt-get", "download", "-qq", "prometheus-alertmanager"]
    done = subprocess.run(command, cwd=CACHE, capture_output=True, text=True, check=False)
    packages = sorted(CACHE.glob("prometheus-alertmanager_*.deb"))
    if done.returncode or not packages:
        pytest.skip(f"Debian's prometheus-alertmanager cannot be fetched: {done.stderr.strip()[-200:]}")
    subprocess.run(["dpkg-deb", "-x", packages[-1], CACHE], check=True)
    # Debian's looks for its templates in a folder that only an installed package has: now in the current one.
    program = (CACHE / "usr/bin/prometheus-alertmanager").read_bytes().replace(_SHARE, b"./" * (len(_SHARE) // 2))
    new = to.with_name(f"alertmanager-{os.getpid()}")
    new.write_bytes(program)
    new.chmod(0o755)
    new.rename(to)


def _templates(folder: Path) -> None:
    for packed in (CACHE / "usr/share/prometheus/alertmanager").glob("*.tmpl"):
        shutil.copy(packed, folder)


class AlertmanagerServer:
    """Sends what fires to a webhook, with a bearer token; waits a second at most before it does."""

    def __init__(self, folder: Path, webhook: str, token: str) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self._folder = folder
        configuration = f"""
route: {{receiver: brain, group_by: [alertname], group_wait: 100ms, group_interval: 200ms, repeat_interval: 1h}}
receivers:
- name: brain
  webhook_configs:
  - url: {webhook}
    send_resolved: true
    http_config: {{authorization: {{type: Bearer, credentials: {token}}}}}
"""
        (folder / "alertmanager.yml").write_text(configuration)

    def __enter__(self) -> AlertmanagerServer:
        address = self.url.removeprefix("http://")
        options = [
            f"--config.file={self._folder}/alertmanager.yml",
            f"--storage.path={self._folder}/data",
            f"--web.listen-address={address}",
            "--cluster.listen-address=",
        ]
        self._log = (self._folder / "alertmanager.log").open("wb")
        program = binary()
        _templates(self._folder)
        self._process = subprocess.Popen([program, *options], cwd=self._folder, stdout=self._log, stderr=self._log)
        wait_until(lambda: self._process.poll() is not None or self._is_ready())
        assert self._process.poll() is None, (self._folder / "alertmanager.log").read_text()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(30)
        self._log.close()

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/-/ready", timeout=5, trust_env=False).is_success
        except httpx.HTTPError:
            return False
