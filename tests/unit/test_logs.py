"""Log lines are the program's: `logging` has them all, with their values, and nothing of ours writes by itself."""

from __future__ import annotations

import io
import json
import logging
import logging.config
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from brain import logs
from brain.logs import Log, configure_logs
from support.log_lines import caught_logs

SECRET = "terc3s"
"""Backwards, as tracebacks have the lines of the code."""
LINE = logging.Formatter("%(levelname)s %(name)s %(message)s")


def failing(token: str) -> None:
    raise RuntimeError(f"refused {len(token)} letters")


def test_a_record_has_its_values_in_its_text_and_by_name(caplog: pytest.LogCaptureFixture) -> None:
    path = Path("a b")
    Log("brain.x").warning("100 % full", path=path, error="no\nroom", total=3, group="", user="it's")
    (record,) = caplog.records
    assert LINE.format(record) == (
        "WARNING brain.x 100 % full: path='a b' error='no\\nroom' total=3 group='' user=" + '"it\'s"'
    )
    assert record.__dict__["brain"] == {
        "event": "100 % full",
        "path": "a b",
        "error": "no\nroom",
        "total": 3,
        "group": "",
        "user": "it's",
    }
    assert record.msg.startswith("100 %% full: path=%(path)s "), "the same for all such lines: some tools group by it"
    assert (record.filename, record.funcName) == (
        "test_logs.py",
        test_a_record_has_its_values_in_its_text_and_by_name.__name__,
    )
    assert pickle.loads(pickle.dumps(record)).getMessage() == record.getMessage()


def test_a_line_without_values_is_its_message(caplog: pytest.LogCaptureFixture) -> None:
    Log("brain.x").warning("100 % full")
    assert caplog.messages == ["100 % full"]


def test_each_method_has_its_level() -> None:
    log = Log("brain.x")
    with caught_logs() as lines:
        for write in (log.debug, log.info, log.warning, log.error, log.exception):
            write("said")
    assert [line["level"] for line in lines] == ["debug", "info", "warning", "error", "error"]


def test_a_traceback_is_a_part_of_the_text_without_local_variables(caplog: pytest.LogCaptureFixture) -> None:
    log = Log("brain.x")
    try:
        failing(SECRET[::-1])
    except RuntimeError as error:
        log.exception("not done", step=1)
        caught = error
    log.error("not done either", raised=caught)
    first, second = caplog.records
    assert first.getMessage().startswith("not done: step=1\nTraceback (most recent call last):\n")
    assert first.getMessage().endswith("\nRuntimeError: refused 6 letters")
    assert second.getMessage().startswith("not done either\nTraceback (most recent call last):\n")
    assert (first.exc_info, SECRET[::-1] in caplog.text) == (None, False)


def test_nothing_is_raised_into_the_code_that_logs_and_what_is_lost_is_counted() -> None:
    class Unspeakable:
        def __str__(self) -> str:
            raise ValueError

    class Broken(logging.Handler):
        def emit(self, _: logging.LogRecord) -> None:
            raise OSError

    logger, before = logging.getLogger("brain.x"), logs.unwritten
    Log("brain.x").warning("said", value=Unspeakable())
    assert logs.unwritten == before + 1
    logger.addHandler(broken := Broken())
    Log("brain.x").error("said")
    logger.removeHandler(broken)
    assert logs.unwritten == before + 2


HOSTS = """
import io, json, logging, logging.config, sys
import structlog
from structlog.stdlib import ProcessorFormatter

def lines(text=""):
    global heard
    heard = io.StringIO()
    return heard

def handler(formatter=None):
    made = logging.StreamHandler(heard)
    made.setFormatter(formatter)
    return made

def nothing(): pass
def basic(): logging.basicConfig(stream=heard, format="%(levelname)s %(name)s %(message)s", force=True)
def others_disabled():
    logging.config.dictConfig({
        "version": 1, "disable_existing_loggers": True, "root": {"handlers": ["all"], "level": "INFO"},
        "handlers": {"all": {"class": "logging.StreamHandler", "stream": heard}},
    })
def structlog_alone(): structlog.configure(processors=[structlog.processors.JSONRenderer()])
def structlog_console():
    structlog.configure(logger_factory=structlog.stdlib.LoggerFactory())
    logging.basicConfig(handlers=[handler(ProcessorFormatter(processor=structlog.dev.ConsoleRenderer()))], force=True)
def structlog_json():
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    chain = [structlog.stdlib.add_logger_name, structlog.stdlib.ExtraAdder(allow=["brain"])]
    ending = [ProcessorFormatter.remove_processors_meta, structlog.processors.dict_tracebacks]
    ending.append(structlog.processors.JSONRenderer())
    form = ProcessorFormatter(foreign_pre_chain=chain, processors=ending)
    logging.basicConfig(handlers=[handler(form)], force=True)
def structlog_broken():
    def broken(*_): raise RuntimeError("a processor of the host")
    structlog.configure(processors=[broken], logger_factory=lambda *_: broken())
def structlog_broken_formatter():
    def broken(*_): raise RuntimeError("a processor of the host")
    logging.basicConfig(handlers=[handler(ProcessorFormatter(processor=broken)), handler()], force=True)

CONFIGURATIONS = [nothing, basic, others_disabled, structlog_alone, structlog_console, structlog_json, structlog_broken,
                  structlog_broken_formatter]

def happen():
    from brain.logs import Log
    from brain.testing import RecordingStream
    stream = RecordingStream()
    assert stream.publish("no event").refused is not None
    log = Log("brain.test")
    def act(token):
        raise RuntimeError("no luck")
    try:
        act("terc3s"[::-1])
    except RuntimeError:
        log.exception("failed")
    log.info("unimportant")
    return stream.stats()["unlogged"]

def run(configuration):
    lines()
    logging.root.handlers[:], sys.stderr = [], heard
    logging.root.setLevel("WARNING")
    structlog.reset_defaults()
    configuration()
    unlogged = happen()
    sys.stderr = sys.__stderr__
    return {"name": configuration.__name__, "heard": heard.getvalue(), "unlogged": unlogged}
"""
AFTER = f"""{HOSTS}
import brain
happen()
print(json.dumps([run(one) for one in CONFIGURATIONS]), file=sys.stderr)
"""
BEFORE = f"""{HOSTS}
lines()
others_disabled()
assert not [name for name in sys.modules if name.startswith("brain")]
happen()
print(json.dumps(heard.getvalue()), file=sys.stderr)
"""


def told(program: str) -> object:
    """What the program says about its lines; it writes nothing to standard output."""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == ""
    return json.loads(ran.stderr.splitlines()[-1])


def test_no_set_up_of_a_program_loses_a_line_shows_a_secret_or_is_raised() -> None:
    """One after the other in one process, whose loggers of ours are there already."""
    found = told(AFTER)
    assert isinstance(found, list)
    for host in found:
        name, heard = host["name"], host["heard"]
        assert host["unlogged"] == 0, name
        assert "an event was refused" in heard, name
        assert "RuntimeError: no luck" in heard, name
        assert SECRET[::-1] not in heard, name
        assert ("unimportant" in heard) == (name == "others_disabled"), name
    (as_json,) = [host["heard"] for host in found if host["name"] == "structlog_json"]
    refused = json.loads(as_json.splitlines()[0])
    assert (refused["logger"], refused["brain"]["reason"]) == ("brain.stream", "AttributeError")


def test_a_program_that_set_up_its_logs_before_the_import_has_the_lines() -> None:
    heard = told(BEFORE)
    assert isinstance(heard, str)
    assert "an event was refused: reason=AttributeError" in heard
    assert "unimportant" in heard


@pytest.mark.parametrize("form", ["json", "console"])
def test_the_command_writes_all_lines_to_standard_error(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", form)
    Log("brain.x").info("disk full", path="/a b")
    logging.getLogger("uvicorn.error").info("chatty")
    try:
        failing(SECRET[::-1])
    except RuntimeError:
        logging.getLogger("of.another").exception("not done")
    out, err = capsys.readouterr()
    assert (out, "chatty" in err, SECRET[::-1] in err) == ("", False, False)
    if form == "json":
        ours, others = map(json.loads, err.splitlines())
        assert ours.pop("timestamp").endswith("Z")
        assert ours == {"event": "disk full", "path": "/a b", "logger": "brain.x", "level": "info"}
        assert others["exception"].endswith("RuntimeError: refused 6 letters")
    else:
        assert "\x1b[" not in err, "colours are for terminals"
        first, second, *trace = err.splitlines()
        assert first.endswith("Z [info     ] disk full                      [brain.x] path='/a b'")
        assert second.endswith("Z [error    ] not done                       [of.another]")
        assert (trace[0], trace[-1]) == ("Traceback (most recent call last):", "RuntimeError: refused 6 letters")


def test_the_command_has_the_lines_of_plug_ins_that_use_structlog(capsys: pytest.CaptureFixture[str]) -> None:
    structlog = pytest.importorskip("structlog")
    try:
        configure_logs("warning", "json")
        log = structlog.get_logger()
        log.info("unimportant")
        log.error("no wind", station="north")
        out, err = capsys.readouterr()
    finally:
        structlog.reset_defaults()
    line = json.loads(err)
    assert (out, line["event"], line["station"], line["level"]) == ("", "no wind", "north", "error")


def test_what_the_command_cannot_write_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    configure_logs()
    monkeypatch.setattr(logging, "raiseExceptions", False)
    before, closed = logs.unwritten, io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    Log("brain.x").error("said")
    assert logs.unwritten == before + 1


def test_lines_follow_standard_error_where_it_goes(capsys: pytest.CaptureFixture[str]) -> None:
    """What is configured while a test captures standard error does not write into that when it is closed."""
    configure_logs(form="json")
    log, before = Log("brain.x"), sys.stderr
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
