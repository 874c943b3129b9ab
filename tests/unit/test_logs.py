"""Where log lines go: never to standard output, which is for a program's results."""

import io
import json
import subprocess
import sys

import pytest
import structlog

from brain.logs import Log, configure_logs


def test_without_a_set_up_lines_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    Log("x").error("disk full", path="a")
    out, err = capsys.readouterr()
    assert (out, "disk full" in err) == ("", True)


def test_without_a_set_up_an_exception_shows_no_local_variables(capsys: pytest.CaptureFixture[str]) -> None:
    key = "hunter" + "2"
    try:
        raise OSError("broken" + key[:0])
    except OSError:
        Log("x").exception("not sent")
    err = capsys.readouterr().err
    assert "not sent" in err
    assert "OSError: broken" in err
    assert "hunter2" not in err
    assert "\033[" not in err, "colours are for terminals"


def test_lines_for_people_have_no_colours_in_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(form="console")
    Log("x").error("disk full", path="a")
    err = capsys.readouterr().err
    assert "disk full" in err
    assert "\033[" not in err


def test_a_set_up_that_is_taken_back_leaves_standard_output_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """A logger that has written once through a set-up asks again before each line."""
    log = Log("x")
    configure_logs(form="json")
    log.error("first")
    assert '"event": "first"' in capsys.readouterr().err
    structlog.reset_defaults()
    log.error("second")
    out, err = capsys.readouterr()
    assert (out, "second" in err) == ("", True)


def test_a_set_up_made_late_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    log = Log("x")
    log.error("first")
    capsys.readouterr()
    configure_logs(form="json")
    log.error("second")
    assert '"event": "second"' in capsys.readouterr().err


def test_what_structlog_captured_for_a_test_changes_nothing_afterwards(capsys: pytest.CaptureFixture[str]) -> None:
    with structlog.testing.capture_logs() as captured:
        Log("x").error("first")
    assert [entry["event"] for entry in captured] == ["first"]
    Log("x").error("second")
    out, err = capsys.readouterr()
    assert (out, "second" in err) == ("", True)


def test_a_program_that_wants_its_lines_on_standard_output_has_them_there(capsys: pytest.CaptureFixture[str]) -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stdout))
    Log("x").error("first")
    assert "first" in capsys.readouterr().out


_COMMAND = """
import logging, sys
from brain import logs
logs.configure_when_needed()
assert "structlog" not in sys.modules
%s
"""


@pytest.mark.parametrize(
    "line", ['logs.Log("x").error("disk full")', 'logging.getLogger("sqlalchemy").error("disk full")']
)
def test_the_first_line_sets_logs_up_when_that_was_put_off(line: str) -> None:
    """Ours and a library's go where `configure_logs` sends them, in its form; nothing is imported before."""
    ran = subprocess.run([sys.executable, "-c", _COMMAND % line], capture_output=True, text=True, check=True)
    assert ran.stdout == ""
    (line,) = ran.stderr.splitlines()
    assert json.loads(line)["event"] == "disk full"


def test_lines_follow_standard_error_where_it_goes(capsys: pytest.CaptureFixture[str]) -> None:
    """What is configured while a test captures standard error does not write into that when it is closed."""
    configure_logs(form="json")
    log, before = Log("x"), sys.stderr
    other = io.StringIO()
    sys.stderr = other
    try:
        log.error("elsewhere")
    finally:
        sys.stderr = before
    log.error("here")
    assert ("elsewhere" in other.getvalue(), "elsewhere" in (err := capsys.readouterr().err), "here" in err) == (
        True,
        False,
        True,
    )
