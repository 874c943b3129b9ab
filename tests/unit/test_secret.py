"""Secrets in settings: three ways to give one, none to see it."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from brain.errors import InvalidInput
from brain.secret import Secret


class Settings(BaseModel):
    token: Secret


def test_as_text_from_the_environment_and_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", "from env")
    file = tmp_path / "token"
    file.write_text("from file\n")
    given = ["as text", {"env": "A_TOKEN"}, {"file": str(file)}, Secret("itself")]
    assert [Settings.model_validate({"token": one}).token.reveal() for one in given] == [
        "as text",
        "from env",
        "from file",
        "itself",
    ]


def test_a_rotated_file_is_followed(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("old")
    secret = Secret(file=file)
    assert secret.reveal() == "old"
    file.write_text("new")
    assert secret.reveal() == "new"


@pytest.mark.parametrize(
    "wrong", ["", {}, {"env": "A", "file": "b"}, {"env": ""}, {"env": 7}, {"vault": "s3cret"}, 7, None, ["s3cret"]]
)
def test_what_is_no_secret_is_refused_without_showing_it(wrong: object) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({"token": wrong})
    assert "s3cret" not in str(caught.value.errors(include_input=False, include_url=False))


def test_what_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    empty = tmp_path / "empty"
    empty.touch()
    with pytest.raises(InvalidInput, match="NOT_SET"):
        Secret(env="NOT_SET").reveal()
    with pytest.raises(InvalidInput, match="missing"):
        Secret(file=tmp_path / "missing").reveal()
    with pytest.raises(InvalidInput, match="empty"):
        Secret(file=empty).reveal()
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInput, match="UTF-8"):
        Secret(file=binary).reveal()


def test_it_is_never_shown() -> None:
    settings = Settings.model_validate({"token": "s3cret"})
    assert "s3cret" not in f"{settings!r} {settings} {settings.token} {settings.model_dump()}"
    assert json.loads(settings.model_dump_json()) == {"token": "***"}
    assert "anyOf" in Settings.model_json_schema()["properties"]["token"]


def test_equal_when_given_alike() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret(env="a") != Secret("a")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret(file="a")}) == 2
    assert pickle.loads(pickle.dumps(Secret(env="A"))) == Secret(env="A")
