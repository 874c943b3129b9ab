"""The views of localisation and of links to robots: live, in both looks, at 390 px."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect

from brain.ros2_bridge.settings import Ros2Settings
from brain.settings import Settings
from brain.slam.settings import RobotSettings, SlamSettings, ZoneSettings
from browser.looks import check_looks
from support.ports import free_port
from support.server import ServeThread

CORNERS = ((0.2, 0.2), (0.6, 0.2), (0.6, 0.4), (0.2, 0.4))
PGM = {"Content-Type": "image/x-portable-graymap"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A server with a zone, and a link whose peer is not there."""
    folder, port = tmp_path_factory.mktemp("robots"), free_port()
    link = {
        "driver": "rosbridge",
        "endpoint": f"ws://127.0.0.1:{free_port()}",
        "topics": {"/robot/odom": {"type": "nav_msgs/msg/Odometry"}},
        "commands": {"/robot/cmd_vel": {"robot": "rover"}},
        "services": {"/robot/lights/set": {"robot": "rover", "type": "std_srvs/srv/SetBool"}},
        "actions": {"/robot/dock": {"robot": "rover", "type": "docking/action/Dock"}},
    }
    (folder / "bags").mkdir()
    (folder / "bags" / "hall-1.mcap").write_bytes(b"x" * 2_500_000)
    settings = Settings(
        stream=f"sqlite:///{folder}/brain.db",
        port=port,
        consumers=(),
        slam=SlamSettings(
            zones={"ramp": ZoneSettings(kind="keepout", polygon=CORNERS, map="hall")},
            robots={"cart": RobotSettings(link="hall", topic="/cart/amcl_pose")},
        ),
        ros2_bridge=Ros2Settings.model_validate({"links": {"hall": link}, "folder": str(folder / "bags")}),
    )
    server = ServeThread(settings).start()
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client:
        yield client
    server.stop()


def opened(tab: Page, client: httpx.Client, view: str) -> Page:
    tab.goto(f"{client.base_url}#/{view}")
    return tab


def test_robots_are_drawn_on_their_map_with_zones_and_tracks(tab: Page, client: httpx.Client) -> None:
    opened(tab, client, "slam")
    expect(tab.get_by_text("No robot has said where it is yet")).to_be_visible()
    expect(tab.get_by_role("region", name="Robots")).to_be_hidden()
    cells = b"P5 20 10 255\n" + bytes([254] * 150 + [0] * 50)
    where = {"resolution": 0.1, "x": -0.5, "yaw": 0.1, "by": "ann"}
    client.post("/api/slam/maps/hall", params=where, content=cells, headers=PGM).raise_for_status()
    now = time.time()
    for number, x in enumerate((0.1, 0.3, 1.5)):
        pose = {"x": x, "y": 0.3, "theta": 0.5, "var_x": 0.01, "map": "hall", "at": now - 2 + number}
        client.post("/api/slam/robots/rover/pose", json=pose).raise_for_status()
    drawing = tab.get_by_role("img", name="Robots and zones on hall")
    expect(drawing).to_contain_text("ramp: keep out")
    expect(drawing).to_contain_text("rover")
    expect(drawing.locator("image")).to_have_count(1)
    expect(drawing.locator("polyline")).to_have_count(1)
    expect(tab.get_by_role("region", name="Maps").locator("tbody tr")).to_contain_text("nobody")
    row = tab.get_by_role("region", name="Robots").locator("tbody tr")
    expect(row).to_contain_text("lost: jump")
    check_looks(tab)


def test_links_show_their_topics_commands_and_recordings(tab: Page, client: httpx.Client) -> None:
    opened(tab, client, "ros2_bridge")
    expect(tab.get_by_role("region", name="Links").locator("tbody tr")).to_contain_text("down: ")
    topics = tab.get_by_role("region", name="Topics").locator("tbody tr")
    expect(topics.filter(has_text="/robot/odom")).to_contain_text("nothing yet")
    commands = tab.get_by_role("region", name="Commands").locator("tbody tr")
    for kind, name in (("topic", "/robot/cmd_vel"), ("service", "/robot/lights/set"), ("action", "/robot/dock")):
        expect(commands.filter(has_text=name)).to_contain_text(kind)
        expect(commands.filter(has_text=name)).to_contain_text("none came")
    poses = tab.get_by_role("region", name="Robots' poses").locator("tbody tr")
    expect(poses.filter(has_text="/cart/amcl_pose")).to_contain_text("nothing yet")
    expect(tab.get_by_role("region", name="Recordings").locator("tbody tr")).to_contain_text("2.5 MB")
    check_looks(tab)
