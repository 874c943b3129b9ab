"""The commands of docs/dna.md run as they are printed, and print what the page says; its settings are the defaults."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from brain.dna.settings import DnaSettings
from support.server import brain

PAGE = (Path(__file__).parents[2] / "docs" / "dna.md").read_text()
FILES = re.findall(r"^`([\w.]+)`\n\n```\w+\n(.*?)^```$", PAGE, re.M | re.S)
STEPS = [
    part.partition("\n")
    for block in re.findall(r"^```console\n(.*?)^```$", PAGE, re.M | re.S)
    for part in re.split(r"^\$ ", block, flags=re.M)[1:]
]
STARTED = "$(cut -d: -f1 started.txt)"


@pytest.mark.timeout(600)
def test_the_commands_of_the_page(tmp_path: Path) -> None:
    for name, text in FILES:
        (tmp_path / name).write_text(text)
    study = ""
    for command, _, expected in STEPS:
        words = shlex.split(command.partition(" | ")[0].replace(STARTED, study))
        assert words[0] == "brain"
        ended = brain(*words[1:], folder=tmp_path)
        printed = (ended.stdout + ended.stderr).strip()
        pattern = ".*?".join(map(re.escape, expected.strip().split("...")))
        assert re.fullmatch(pattern, printed, re.S), f"$ {command}\n{printed}\n---\n{expected}"
        assert (ended.returncode == 2) == printed.startswith("error"), command
        if "study start" in command:
            study = printed.partition(":")[0]
    assert len(STEPS) > 18


def test_the_settings_of_the_page_are_the_defaults() -> None:
    (text,) = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.M | re.S)
    given = tomllib.loads(text)["dna"]
    assert DnaSettings.model_validate(given) == DnaSettings()
    assert given.keys() == DnaSettings.model_fields.keys()
