"""A server without the extras of robots starts, reads, and answers what needs them with 501 and the pip line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from support.ports import free_port
from support.waiting import wait_until

ROOT = Path(__file__).parents[2]
ABSENT = ROOT / "tests" / "support" / "absent.py"
GONE = "foxglove,rosbags,zenoh,numpy,mcap,websockets,av,cv2,onnxruntime"
SETTINGS = """
[ros2_bridge.links.hall]
driver = "rosbridge"
endpoint = "ws://127.0.0.1:9090"
commands = { "/cmd_vel" = { robot = "rover" } }

[ros2_bridge]
folder = "bags"

[ros2_bridge.foxglove]
port = 8766

[ros2_bridge.links.yard]
driver = "zenoh"
endpoint = "tcp/127.0.0.1:7447"
record = true
"""


@pytest.fixture
def client(tmp_path: Path) -> Iterator[httpx.Client]:
    (tmp_path / "brain.toml").write_text(SETTINGS)
    port = free_port()
    main = ROOT / "src" / "brain" / "__main__.py"
    command = [sys.executable, "-P", str(ABSENT), GONE, str(main), "serve", "--port", str(port)]
    with (tmp_path / "log").open("w") as log, subprocess.Popen(command, cwd=tmp_path, stderr=log) as process:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client:
                wait_until(lambda: process.poll() is not None or answers(client), 60)
                assert process.poll() is None, (tmp_path / "log").read_text()
                yield client
        finally:
            process.kill()


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").is_success
    except httpx.HTTPError:
        return False


def test_what_needs_an_extra_is_answered_with_the_pip_line(client: httpx.Client) -> None:
    links = {link["link"]: link for link in client.get("/api/ros2/links").json()}
    assert {name: link["up"] for name, link in links.items()} == {"hall": False, "yard": False}
    wait_until(
        lambda: all("brain-eventstream[robots]" in link["reason"] for link in client.get("/api/ros2/links").json())
    )
    command = {"link": "hall", "topic": "/cmd_vel", "agent_id": "a", "message": {}}
    pgm = {"Content-Type": "image/x-portable-graymap"}
    jpeg = {"Content-Type": "image/jpeg"}
    asked = {
        "robots": [
            client.post("/api/ros2/publish", json=command),
            client.post("/api/slam/maps/hall?resolution=0.05&by=ann", content=b"P5 1 1 255 0", headers=pgm),
        ],
        "vision": [client.post("/api/vision/detect", content=b"\xff\xd8\xff", headers=jpeg)],
    }
    for extra, found in asked.items():
        for answer in found:
            assert answer.status_code == 501, (answer.request.url, answer.text)
            assert f"pip install 'brain-eventstream[{extra}]'" in answer.json()["detail"]
    for path in ("/api/slam/maps", "/api/slam/robots", "/api/vision/cameras", "/api/ros2/recordings"):
        assert (client.get(path).status_code, client.get(path).json()) == (200, [])
    assert client.post("/api/slam/robots/rover/pose", json={"x": 1.0, "y": 2.0}).status_code == 200
