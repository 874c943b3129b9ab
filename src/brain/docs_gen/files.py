"""The generated files, by where they belong."""

from __future__ import annotations

from pathlib import Path

import msgspec

from brain.docs_gen import modules
from brain.docs_gen.asyncapi import asyncapi_document
from brain.docs_gen.markdown import index_document, module_document


def generated_files(folder: Path) -> dict[Path, str]:
    """Content by path: `folder` holds the modules' documents.

    For a project's `docs/events`, the AsyncAPI document goes to `docs` and the index beside `docs`; any other folder
    holds all of them.
    """
    in_project = folder.absolute().parts[-2:] == ("docs", "events")
    documented = modules()
    files = {folder / f"{module.name.upper()}.md": module_document(module) for module in documented}
    asyncapi = msgspec.json.format(msgspec.json.encode(asyncapi_document(documented)), indent=2).decode() + "\n"
    files[(folder.parent if in_project else folder) / "asyncapi.json"] = asyncapi
    top = folder.parent.parent if in_project else folder
    files[top / "EVENTS.md"] = index_document(documented, "docs/events/" if in_project else "")
    return files
