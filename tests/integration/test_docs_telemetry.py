"""What docs/telemetry.md shows runs as it is printed, and its settings are those there are."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from brain.settings import load_settings
from brain.telemetry.settings import TelemetrySettings
from support.command import Command
from support.server import ServeThread, without_consumers

PAGE = (Path(__file__).parents[2] / "docs" / "telemetry.md").read_text("utf-8")
SHOWN = re.compile(r"^```(?P<language>python|console)\n(?P<text>.*?)^```", re.M | re.S)
CHANGING = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z|\d+\.\d s$", re.M)
FILES = ("tail", "record", "recover", "replay")


def test_programs_and_commands_of_the_page(tmp_path: Path, brain: Command) -> None:
    server = ServeThread(without_consumers(f"sqlite:///{tmp_path}/brain.db")).start()
    ran = 0
    try:
        for found in SHOWN.finditer(PAGE):
            if found["language"] == "python":
                program = found["text"].replace("http://127.0.0.1:8765", server.url)
                subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, timeout=120)
                ran += 1
                continue
            for command, printed in re.findall(r"^\$ brain (.*)\n((?:[^$].*\n)*)", found["text"], re.M):
                arguments = shlex.split(command)
                if arguments[1] in FILES:
                    assert brain(*arguments[:2], "--help").code == 0
                    continue
                assert CHANGING.sub("", brain(*arguments).out) == CHANGING.sub("", printed)
                ran += 1
    finally:
        server.stop()
    assert ran == 5


def test_the_settings_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTLP_TOKEN", "x")
    (tmp_path / "brain.toml").write_text("\n".join(re.findall(r"^```toml\n(.*?)^```", PAGE, re.M | re.S)))
    monkeypatch.chdir(tmp_path)
    settings = load_settings().table(TelemetrySettings)
    assert settings.prices["gpt-5"].cached == 0.125
    assert settings.limits["battery"].clear == 20
    assert settings.forward is not None
    rows = re.findall(r"^\| `(\w+)` \| `(BRAIN_TELEMETRY__\w+)`[^|]*\| `?([^|`]*)`? \|", PAGE, re.M)
    fields = TelemetrySettings.model_fields
    assert [name for name, *_ in rows] == list(fields)
    for name, variable, default in rows:
        assert variable == f"BRAIN_TELEMETRY__{name.upper()}"
        value = fields[name].get_default(call_default_factory=True)
        assert default.strip() == (str(value) if value else "none")
