"""A file that closes itself: what interrupts its opener, such as a signal handler that raises, leaves none open.

`os.open` gives a number, which is lost when the interpreter runs such a handler before the number has a name. An object
is closed then, since nothing refers to it any more.
"""

from __future__ import annotations

import os
from functools import partial
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import ref

from brain.platform import at_fork


class OwnedFile(FileIO):
    """An open file of one user (mode 0600 where it is made), unbuffered, without a warning when it closes itself.

    `mode` is that of `open` without `b`. Who shares it with another thread forgets it, and does not close it.
    It is closed in a forked child, whoever has it.
    """

    def __init__(self, path: Path, mode: str) -> None:
        # In one call of C from here on: a function written in Python would be interrupted behind `os.open`.
        super().__init__(path, mode, opener=partial(os.open, mode=0o600))
        _files[self.fileno()] = ref(self)

    if TYPE_CHECKING:

        def __del__(self) -> None: ...

    else:
        __del__ = FileIO.close  # FileIO's own warns that it was not closed


_files: dict[int, ref[OwnedFile]] = {}
"""By descriptor, of which there are few. A WeakSet would run code of Python when a file goes, and so lose Ctrl-C."""


def _close_inherited() -> None:
    """A thread of the parent may be using one in this moment, and the child has no such thread to close it; a lock on a
    journal would outlive the parent in the child."""
    for known in [*_files.values()]:
        if (file := known()) is not None:
            file.close()


at_fork(in_child=_close_inherited)
