"""Missions in files, and their graphs for Graphviz."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from brain.errors import InvalidInput
from brain.kit.documents import read_document
from brain.missions.models import NewMission
from brain.model_faults import model_faults


def read_mission(file: Path, by: str | None = None) -> NewMission:
    """The mission in a file; `by` goes before who is named there. Raises InvalidInput naming each fault."""
    document = read_document(file)
    if by is not None and isinstance(document, dict):
        document = {**document, "by": by}
    try:
        return NewMission.model_validate(document)
    except ValidationError as error:
        faults = model_faults(error)
        raise InvalidInput(f"{file}: {faults[0]}", faults) from error


def as_dot(graph: Mapping[str, Any]) -> str:
    """The graph in the language of Graphviz, https://graphviz.org/doc/info/lang.html."""
    nodes = [f"  {_quoted(node['name'])} [label={_quoted(_label(node))}];" for node in graph["nodes"]]
    edges = [f"  {_quoted(edge['from'])} -> {_quoted(edge['to'])};" for edge in graph["edges"]]
    return "\n".join([f"digraph {_quoted(graph['name'])} {{", *nodes, *edges, "}"])


def _label(node: Mapping[str, Any]) -> str:
    return f"{node['name']}\n{node['status']}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
