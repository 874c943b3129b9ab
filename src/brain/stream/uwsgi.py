"""uWSGI forks its workers in a way of its own, which loses events unless an option has it inform Python."""

from __future__ import annotations

import sys

from brain.errors import InvalidInput

_HOOKS = "py-call-uwsgi-fork-hooks"


def check_uwsgi() -> None:
    """Raises InvalidInput where uWSGI will fork workers that cannot know that they were forked.

    They would all write into the journal of the process that loaded the program, over each other's events, while every
    request is answered well. https://uwsgi-docs.readthedocs.io/en/latest/PythonModule.html has what is asked here.
    """
    uwsgi = sys.modules.get("uwsgi")  # a module that uWSGI puts there
    if uwsgi is None or not hasattr(uwsgi, "opt"):
        return
    forks = uwsgi.worker_id() == 0 and (uwsgi.masterpid() != 0 or uwsgi.numproc > 1)
    if forks and _HOOKS not in uwsgi.opt:
        raise InvalidInput(
            "uWSGI will fork its workers without telling Python, and they would overwrite each other's events: "
            f"add --lazy-apps, or --{_HOOKS}"
        )
