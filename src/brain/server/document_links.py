"""Links of the OpenAPI document: which answers hold the values that the paths of other routes need.

Source: OpenAPI 3.1, "Link Object". The answer of a collection (`POST /api/threats`, `GET /api/threats`) leads to the
routes of what is in it (`/api/threats/{threat_id}/status`); what does not follow from the paths is in `_FURTHER`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

JSON = "application/json"
_PARAMETERS = re.compile(r"{(\w+)}")
_FURTHER: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "get /api/events": {"/api/events/{event_id}": {"event_id": "$response.body#/events/0/event/id"}},
    "get /api/audit/entries": {"/api/audit/proof/{event_id}": {"event_id": "$response.body#/0/event_id"}},
    "get /api/connectors/{name}/deliveries": {
        "/api/connectors/{name}/deliveries/{number}": {"name": "$request.path.name", "number": "$response.body#/0/id"},
    },
    "post /api/dna/snapshot": {
        "/api/dna/snapshots/{snapshot_id}": {"snapshot_id": "$response.body#/id"},
        "/api/dna/agents/{agent_id}": {"agent_id": "$response.body#/agent_id"},
    },
    "post /api/dna/studies/{study_id}/ask": {
        "/api/dna/studies/{study_id}/trials/{trial}": {
            "study_id": "$request.path.study_id",
            "trial": "$response.body#/trial/number",
        },
    },
    "post /api/immune/heartbeat": {"/api/immune/heartbeats/{agent_id}": {"agent_id": "$response.body#/agent_id"}},
    "post /api/policy/containments": {
        "/api/policy/containments/{agent_id}": {"agent_id": "$request.body#/agent_id"},
    },
    "post /api/slam/maps/{map_id}": {
        "/api/slam/maps/{map_id}": {"map_id": "$request.path.map_id", "version": "$response.body#/version"},
    },
    "post /api/slam/robots/{robot_id}/pose": {"/api/slam/robots/{robot_id}": {"robot_id": "$request.path.robot_id"}},
    "post /api/tasks/lease": {
        "/api/tasks/{task_id}": {"task_id": "$response.body#/0/id"},
        "/api/missions/{mission_id}": {"mission_id": "$response.body#/0/mission_id"},
    },
    "put /api/vision/cameras/{camera_id}": {
        "/api/vision/cameras/{camera_id}": {"camera_id": "$request.path.camera_id"},
    },
    "get /api/ros2/links/{link}/graph": {
        "/api/ros2/links/{link}/topics/{topic}": {
            "link": "$request.path.link",
            "topic": "$response.body#/topics/0/name",
        },
    },
}
"""By the route whose answer it is: by what the paths begin with, where the values of their parameters are."""


class _Target(NamedTuple):
    path: str
    parameters: list[str]
    operation: str


def add_links(document: dict[str, Any]) -> None:
    """Add to the answers of a document the links to the routes whose paths they have the values of."""
    targets = [
        _Target(path, _PARAMETERS.findall(path), definition["operationId"])
        for path, operations in document["paths"].items()
        for definition in operations.values()
        if "{" in path
    ]
    for path, operations in document["paths"].items():
        below = [] if "{" in path else [target for target in targets if target.path.startswith(f"{path}/{{")]
        for method, definition in operations.items():
            further = _FURTHER.get(f"{method} {path}", {})
            if below or further:
                answer = next(answer for code, answer in definition["responses"].items() if code.startswith("2"))
                fields = _fields(document, answer)
                links = {**_of_collection(fields, below), **_further(further, targets)}
                links.pop(definition["operationId"], None)
                if links:
                    answer["links"] = links


def _of_collection(fields: Mapping[str, str], targets: Iterable[_Target]) -> dict[str, Any]:
    """From a collection to its things, and to what belongs to them."""
    return {target.operation: _link(target, known) for target in targets if (known := _known(fields, target))}


def _known(fields: Mapping[str, str], target: _Target) -> dict[str, str] | None:
    """Where the values for a path are, or None when one is missing; a thing's own name may be `id` in an answer."""
    first, *others = target.parameters
    field = next((fields[name] for name in (first, "id", first.removesuffix("_id")) if name in fields), None)
    if field is None or any(name not in fields for name in others):
        return None
    return {first: field, **{name: fields[name] for name in others}}


def _further(further: Mapping[str, Mapping[str, str]], targets: Iterable[_Target]) -> dict[str, Any]:
    return {
        target.operation: _link(target, values)
        for target in targets
        for beginning, values in further.items()
        if target.path.startswith(beginning) and values.keys() >= set(target.parameters)
    }


def _link(target: _Target, values: Mapping[str, str]) -> dict[str, Any]:
    return {"operationId": target.operation, "parameters": {name: values[name] for name in target.parameters}}


def _fields(document: dict[str, Any], answer: dict[str, Any]) -> dict[str, str]:
    """Where the fields of an answer are; those of its first element when it is a list."""
    schema = _resolved(document, answer.get("content", {}).get(JSON, {}).get("schema", {}))
    place = "$response.body#"
    if schema.get("type") == "array":
        schema, place = _resolved(document, schema["items"]), f"{place}/0"
    return {name: f"{place}/{name}" for name in schema.get("properties", ())}


def _resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    found: dict[str, Any] = document["components"]["schemas"][reference.rpartition("/")[2]]
    return found
