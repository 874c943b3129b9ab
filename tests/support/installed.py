"""A package as an installed distribution: its files, and the metadata that entry points are found by."""

from __future__ import annotations

import tomllib
from pathlib import Path


def install(folder: Path, pyproject: str, files: dict[str, str]) -> Path:
    """Put the package into the folder, which is then to be on PYTHONPATH; the folder."""
    project = tomllib.loads(pyproject)["project"]
    metadata = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir(parents=True)
    head = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (metadata / "METADATA").write_text(head)
    lines: list[str] = []
    for group, points in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in points.items())]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder
