"""Plain text to the Atlassian Document Format and back; Jira's API v3 takes it for descriptions and comments.

Source: developer.atlassian.com, "Atlassian Document Format": a `doc` of version 1 with paragraphs of text, hard breaks
and links; a text node must not be empty.
"""

from __future__ import annotations

from typing import Any

from brain.neutral import plain_text
from brain.text import clip_units

CHARACTERS = 30_000
"""UTF-16 units of text in one document; Jira, written in Java, refuses a field of more than 32,767 characters."""


def text_to_adf(text: str, link: str = "") -> dict[str, Any]:
    """The text as a document, with a paragraph after each empty line; a `link` is a last paragraph of its own."""
    parts = [part.strip("\n") for part in clip_units(plain_text(text), CHARACTERS).split("\n\n")]
    content = [_paragraph(part) for part in parts if part.strip()]
    if link:
        mark = {"type": "link", "attrs": {"href": link}}
        content.append({"type": "paragraph", "content": [{"type": "text", "text": link, "marks": [mark]}]})
    return {"type": "doc", "version": 1, "content": content or [_paragraph("(no text)")]}


def adf_to_text(node: object) -> str:
    """The text of a document; empty for a value that is no document."""
    if not isinstance(node, dict):
        return ""
    if isinstance(text := node.get("text"), str):
        return text
    content = node.get("content")
    return "\n".join(map(adf_to_text, content)) if isinstance(content, list) else ""


def _paragraph(text: str) -> dict[str, Any]:
    nodes: list[dict[str, Any]] = []
    for line in text.split("\n"):
        if nodes:
            nodes.append({"type": "hardBreak"})
        if line:
            nodes.append({"type": "text", "text": line})
    return {"type": "paragraph", "content": nodes}
