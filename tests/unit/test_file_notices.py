"""A touch of a file wakes who waits for it, in other processes too."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from brain.file_notices import FileWatch, touch

LONG = 60.0


def waiting(watch: FileWatch) -> tuple[threading.Thread, list[bool]]:
    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.append(watch.wait(LONG, LONG)))
    thread.start()
    return thread, found


def test_a_touch_before_and_during_the_wait_ends_it(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    watch = FileWatch(path)
    watch.follow()
    touch(path)
    assert watch.wait(LONG, LONG)
    assert not watch.wait(0, LONG)
    thread, found = waiting(watch)
    subprocess.run([sys.executable, "-c", "import os, sys; os.utime(sys.argv[1])", str(path)], check=True)
    thread.join(LONG)
    assert found == [True]
    watch.close()


def test_writes_are_no_touch(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    watch = FileWatch(path)
    watch.follow()
    with path.open("ab") as file:
        file.write(b"data")
    assert not watch.wait(0, LONG)
    watch.close()


def test_a_file_of_the_same_name_is_followed_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "log"
    watch = FileWatch(path)
    watch.follow()
    assert not watch.wait(LONG, 0)  # there is none yet: nothing is waited for
    path.touch()
    watch.follow()
    path.rename(tmp_path / "old")
    path.touch()
    watch.follow()
    touch(path)
    assert watch.wait(LONG, LONG)
    watch.close()


def test_who_waits_goes_on_when_the_watch_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    watch = FileWatch(path)
    watch.follow()
    thread, _ = waiting(watch)
    watch.close()
    thread.join(LONG)
    assert not thread.is_alive()


@pytest.mark.parametrize("lacking", ["platform", "descriptors"])
def test_without_the_system_s_help_the_other_wait_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacking: str
) -> None:
    path = tmp_path / "log"
    path.touch()
    if lacking == "platform":
        monkeypatch.setattr(sys, "platform", "darwin")
    else:
        monkeypatch.setattr(FileWatch, "_add", lambda self: False)
    watch = FileWatch(path)
    watch.follow()
    touch(path)
    assert not watch.wait(LONG, 0)
    watch.close()
