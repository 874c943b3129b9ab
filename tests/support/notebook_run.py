"""Runs the cells of a file as a notebook and publishes more: once its kernel is killed, once it ends in good order.

Runs in the environment of the hosts, not in that of the tests.
"""

import signal
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient


def main(path: str, events: int) -> None:
    _, *cells = Path(path).read_text().split("# %%")
    cells = [*("#" + cell for cell in cells), f"for number in range({events // 2}): place(number)"]
    notebook = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, cells)))
    for ends_well in (False, True):
        client = NotebookClient(notebook, timeout=60)
        with client.setup_kernel():
            for number, cell in enumerate(notebook.cells):
                client.execute_cell(cell, number)
            if not ends_well:
                assert client.km is not None
                client.km.signal_kernel(signal.SIGKILL)


main(sys.argv[1], int(sys.argv[2]))
