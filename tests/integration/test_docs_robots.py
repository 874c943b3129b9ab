"""docs/ros2_bridge.md and docs/slam.md as a reader follows them: their settings are taken, their commands say this."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from brain.ros2_bridge.commands import app as ros2
from brain.ros2_bridge.settings import Ros2Settings
from brain.slam.commands import app as slam
from brain.slam.settings import SlamSettings
from support.recorded import data_file

DOCS = Path(__file__).parents[2] / "docs"
COMMANDS = {"ros2": ros2, "slam": slam}


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (DOCS / page).read_text(), re.M | re.S)


def test_the_settings_of_the_pages_are_taken() -> None:
    (bridge,) = blocks("ros2_bridge.md", "toml")
    links = Ros2Settings.model_validate(tomllib.loads(bridge)["ros2_bridge"]).links
    assert links["hall"].commands["/cmd_vel"].bounds == {"linear": 0.5, "angular": 1.0}
    (places,) = blocks("slam.md", "toml")
    assert SlamSettings.model_validate(tomllib.loads(places)["slam"]).zones["ramp"].kind == "keepout"


@pytest.mark.parametrize("block", [*blocks("ros2_bridge.md", "console"), *blocks("slam.md", "console")])
def test_the_commands_of_the_pages_say_what_they_say(
    block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line, *said = block.splitlines()
    _, _, group, *arguments = shlex.split(line)
    for name in arguments:
        if name.endswith((".mcap", ".txt")):
            (tmp_path / name).symlink_to(data_file("evo", name))
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
