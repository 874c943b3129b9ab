"""Which ways of starting uWSGI are refused, by what its module said in each of them (uWSGI 2.0.30).

`tests/integration/test_hosts.py` asks uWSGI itself, in a long run.
"""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from brain import EventStream
from brain.errors import InvalidInput

HOOKS, LAZY = "py-call-uwsgi-fork-hooks", "lazy-apps"


@pytest.mark.parametrize(
    ("options", "worker", "master", "processes", "is_refused"),
    [
        ({"master": True, "processes": b"2"}, 0, 21195, 2, True),
        ({"master": True, "threads": b"2"}, 0, 21226, 1, True),
        ({"processes": b"2"}, 0, 0, 2, True),
        ({}, 0, 0, 1, False),  # one process, which does not fork
        ({"master": True, "processes": b"2", LAZY: True}, 1, 21274, 2, False),  # in the worker
        ({"master": True, "processes": b"2", HOOKS: True}, 0, 21301, 2, False),
    ],
)
def test_only_forks_that_python_is_not_informed_of_are_refused(
    options: dict[str, object],
    worker: int,
    master: int,
    processes: int,
    is_refused: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = SimpleNamespace(opt=options, worker_id=lambda: worker, masterpid=lambda: master, numproc=processes)
    monkeypatch.setitem(sys.modules, "uwsgi", module)
    if is_refused:
        with pytest.raises(InvalidInput, match="they would overwrite each other's events: add --lazy-apps"):
            EventStream.open_sync("memory://")
    else:
        EventStream.open_sync("memory://").close_sync()
