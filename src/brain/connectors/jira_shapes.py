"""What Jira's answers have at least, of all that its documentation shows: what reads them relies on this alone."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

import msgspec

from brain.connectors.sender import Answer, TryLater
from brain.typed import ready

__all__ = ["Comment", "CommentPage", "Created", "Found", "Issue", "Nothing", "TransitionList", "checked"]


class _Status(TypedDict):
    name: str
    statusCategory: NotRequired[dict[str, Any] | None]


class _Fields(TypedDict):
    status: _Status
    labels: NotRequired[list[str] | None]
    resolution: NotRequired[dict[str, Any] | None]


class Created(TypedDict):
    """A new issue."""

    id: str
    key: str


class Issue(TypedDict):
    """An issue that was read."""

    id: str
    key: str
    fields: _Fields


class Found(TypedDict):
    """The issues of a search."""

    issues: list[Issue]


class Comment(TypedDict):
    """A new comment."""

    id: str


class CommentPage(TypedDict):
    """Comments of an issue."""

    comments: list[dict[str, Any]]


class _Transition(TypedDict):
    id: str
    name: str
    to: _Status
    fields: NotRequired[dict[str, Any] | None]


class TransitionList(TypedDict):
    """The transitions that an issue may make."""

    transitions: list[_Transition]


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """The empty answer to a transition and an edit (204): a body would be somebody else's."""


def checked(service: str, answer: Answer, shape: Any) -> dict[str, Any]:
    """The answer's object, of which an empty body is one without members.

    Raises TryLater where it lacks what the shape has: something else answers in the service's place.
    """
    found = answer.json()
    try:
        msgspec.convert({} if found is None else found, ready(shape))
    except msgspec.ValidationError as error:
        said = f"{service} answered {answer.status} with something else than it documents: {error}"
        raise TryLater(said, about_connection=True) from error
    return dict(found or {})
