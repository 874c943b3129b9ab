"""Every command with texts of attackers and with secrets in all its places: nothing acts where it is printed, and no
file holds a secret. What a command is called with follows from its parameters, so a new one is among them."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path

import httpx
import pytest

from brain.cli import main
from support.contents import contents
from support.every_command import NEVER_ENDS, all_calls, every_command
from support.hostile import ACTS, HOSTILE
from support.planting import bodies, examples, filled
from support.secrets_planted import TEXTS, found_in
from support.server import ServeProcess
from support.sizes import sizes

ATTACK = "".join(text for text in HOSTILE if "\0" not in text and "\n" not in text)[:150]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose commands find no server, and no file but one with no sense in it."""
    monkeypatch.setenv("BRAIN_PORT", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "any.json").write_text('{"no": "sense"}')
    return tmp_path


def things(folder: Path, text: str) -> None:
    """Have a server make something of each kind in the folder, with the text in every place that takes one."""
    with (
        ServeProcess(folder) as served,
        httpx.Client(base_url=served.url, timeout=120, trust_env=False) as client,
    ):
        for method, path, example in examples(client.get("/openapi.json").json()):
            for body in (example, *bodies(example, cycle([text]))):
                client.request(method, filled(path), json=body)
        assert served.stop() == 0


def test_what_is_not_called_is_there() -> None:
    assert NEVER_ENDS.keys() <= every_command().keys()


@pytest.mark.parametrize("every", sizes(60, 1))
def test_nothing_that_a_command_prints_acts(every: int, folder: Path) -> None:
    if every == 1:
        things(folder, ATTACK)
    acting = {
        " ".join(called.arguments)[:60]: (called.out[-300:], called.err[-300:])
        for called in all_calls(folder, ATTACK, folder / "any.json", every)
        if ACTS.search(called.out + called.err)
    }
    assert acting == {}


@pytest.mark.parametrize("every", sizes(60, 1))
def test_what_a_command_is_told_is_kept_without_its_secrets(every: int, folder: Path) -> None:
    if every == 1:
        things(folder, "harmless")
    texts = [TEXTS[0][0], " ".join(text for text, _ in TEXTS)]  # short, and all forms at once
    for text in texts if every == 1 else texts[:1]:
        for _ in all_calls(folder, text, folder / "any.json", every, agents="a1"):
            pass
    assert {path.name: found for path, kept in contents(folder).items() if (found := found_in(kept))} == {}


def test_names_that_are_secrets_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        ("keys", "new", TEXTS[1][1], "--role", "viewer"),
        ("agents", "register", TEXTS[1][1], "--out", "a.key"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
        assert "holds what looks like a key" in capsys.readouterr().err
    assert not [path for path, kept in contents(folder).items() if found_in(kept)]
