"""The commands of `brain`: each loads by itself, and a broken one breaks no other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import typer

from brain import cli
from brain.cli import LazyGroup, all_commands, root
from brain.plugins import Command, Plugin


def test_each_command_loads_and_has_one_sentence_of_help() -> None:
    group = typer.main.get_command(root())
    assert isinstance(group, LazyGroup)
    for name, (command, _) in all_commands().items():
        assert group.load(name).name == name
        assert command.help.endswith(".")
        assert len(command.help) <= 80


def test_of_two_commands_of_one_name_the_second_is_left_out_and_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    taken = {"weather": Plugin(name="weather", purpose="x", commands={"serve": Command("a:b", "Serve.")})}
    monkeypatch.setattr(cli, "plugins", lambda: taken)
    assert all_commands()["serve"][0].reference != "a:b"
    assert "there is another command `brain serve`" in caplog.text


def test_a_command_that_is_not_there_breaks_no_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken: Mapping[str, Any] = {
        "weather": Plugin(name="weather", purpose="x", commands={"weather": Command("brain_no_such:app", "Show.")})
    }
    monkeypatch.setattr(cli, "plugins", lambda: broken)
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    assert ended.value.code == 0
    with pytest.raises(SystemExit) as ended:
        cli.main(["weather"])
    assert ended.value.code == 2
    assert (
        "plug-in weather: commands.weather names 'brain_no_such:app', which cannot be imported"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    "arguments",
    [["incidents", "open", "fire \udcff"], ["audit", "search", "--agent", "\udcff"], ["worker", "audit", "\udcff"]],
    ids=["argument", "option", "list"],
)
def test_a_text_that_is_no_utf_8_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A terminal with another encoding sends such bytes; they could be stored nowhere."""
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert "is not UTF-8; write it in that encoding" in capsys.readouterr().err


def test_a_number_that_no_database_takes_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for number in (1 << 63, -(1 << 63) - 1):
        with pytest.raises(SystemExit) as ended:
            cli.main(["policy", "rollback", "--", str(number)])
        assert ended.value.code == 2
        assert f"{number} is too large; at most 9223372036854775807 is taken" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--minutes", "--in"])
@pytest.mark.parametrize("value", ["inf", "nan", "1e300"])
def test_a_silence_that_never_ends_is_refused_with_its_option(
    option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["silences", "add", "agent=x", "--reason", "y", "--by", "ann", option, value])
    assert ended.value.code == 2
    assert f"Invalid value for '{option}'" in capsys.readouterr().err
