"""Makes src/brain/detections/rules/compiled.json of the rules beside it, so that they run without a parser.

`make docs` runs it.
"""

from __future__ import annotations

import msgspec

from brain.detections.loading import find_files, link, read_files, shipped_folder
from brain.errors import InvalidInput


def compiled() -> bytes:
    """The content of the file. Raises InvalidInput when a rule cannot be loaded."""
    folder = shipped_folder()
    found, problems = read_files(find_files([folder]))
    faults = [*problems, *link(found, []).problems]
    if faults:
        raise InvalidInput("; ".join(str(fault) for fault in faults))
    bare = [
        msgspec.structs.replace(one, about=msgspec.structs.replace(one.about, path=one.about.path.rpartition("/")[2]))
        for one in found
    ]
    lines = (msgspec.json.encode(one, order="deterministic").decode() for one in bare)
    return ("[" + ",\n ".join(lines) + "]\n").encode()


if __name__ == "__main__":
    (shipped_folder() / "compiled.json").write_bytes(compiled())
