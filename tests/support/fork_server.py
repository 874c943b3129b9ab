"""Runs `brain` in forked children of a process that has imported everything, in the environment of its interpreter.

A request is a line of JSON on standard input: the folder, the arguments, the environment's variables, and the files for
output, for errors and for the exit code. The answer is a line with the child's process id. It ends with its input.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

from brain import cli
from support import everything


def serve() -> None:
    """Carry out one request after the other."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that watch
    for line in sys.stdin:
        if os.fork() == 0:
            _watch(json.loads(line))


def _watch(request: dict[str, Any]) -> NoReturn:
    """Start the child, say its id, and write down how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if child == 0:
        _run(request)
    print(child, flush=True)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    written = Path(request["code"])
    written.with_suffix(".new").write_text(str(code))
    written.with_suffix(".new").rename(written)
    os._exit(0)


def _run(request: dict[str, Any]) -> NoReturn:
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for name, descriptor in (("out", 1), ("err", 2)):
        os.dup2(os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    sys.argv = ["brain", *request["arguments"]]
    code = 1
    try:
        cli.main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  (its traceback is what the test reads)
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    assert everything
    serve()
