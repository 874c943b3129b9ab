"""The commands of docs/playbooks.md run as printed, and print what the page says; its settings are the defaults."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

from brain.playbooks.settings import PlaybookSettings
from support.server import brain

PAGE = (Path(__file__).parents[2] / "docs" / "playbooks.md").read_text()
FILES = re.findall(r"^`([\w.]+)`\n\n```\w+\n(.*?)^```$", PAGE, re.M | re.S)
STEPS = [
    part.partition("\n")
    for block in re.findall(r"^```console\n(.*?)^```$", PAGE, re.M | re.S)
    for part in re.split(r"^\$ ", block, flags=re.M)[1:]
]


def test_the_commands_of_the_page(tmp_path: Path) -> None:
    for name, text in FILES:
        (tmp_path / name).write_text(text)
    for command, _, expected in STEPS:
        ended = brain(*shlex.split(command)[1:], folder=tmp_path)
        printed = (ended.stdout + ended.stderr).strip()
        pattern = ".*?".join(map(re.escape, expected.strip().split("...")))
        assert re.fullmatch(pattern, printed, re.S), f"$ {command}\n{printed}\n---\n{expected}"
    assert len(STEPS) == 6


def test_the_settings_of_the_page_are_the_defaults() -> None:
    first, *_ = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.M | re.S)
    given = tomllib.loads(first)["playbooks"]
    assert PlaybookSettings.model_validate(given) == PlaybookSettings()
    assert given.keys() == PlaybookSettings.model_fields.keys()
