"""Explains a YAML file that cannot be read: the line, the fault, and the remedy."""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

BLOCK = 'a bare > or | begins a text of several lines in YAML; write ">" with its quotes'

_REMEDIES = [
    (re.compile(pattern), remedy)
    for pattern, remedy in (
        (r"character '[>|]' that cannot start|while scanning a block scalar", BLOCK),
        (r"character '\\t'", "indent with blanks instead of tabs"),
        (r"tag '!='", 'a bare ! begins a tag in YAML; write "!=" with its quotes'),
        (r"for the tag", "tags are not supported; put a text that begins with ! in quotes"),
        (r"while scanning an alias|undefined alias", "a bare * refers to an anchor in YAML; put the text in quotes"),
        (r"while scanning an anchor", "a bare & begins an anchor in YAML; put the text in quotes"),
        (r"duplicate anchor", "give each anchor a name of its own"),
        (r"that cannot start any token", "a text that begins with this character must be in quotes"),
        (r"while scanning a directive", "a line that begins with % is a directive in YAML; put the text in quotes"),
        (r"quoted scalar.*end of stream", "the quote that begins here is not closed; close it"),
        (r"unknown escape", "in double quotes \\ begins an escape; write patterns in single quotes, such as '\\d+'"),
        (r"in a quoted scalar|double-quoted scalar", "write the text in single quotes"),
        (r"unhashable key", "a { or [ begins an object or a list in YAML; put a text that begins so in quotes"),
        (r"flow node.*found ','", "there is a comma too many; take it out"),
        (r"parsing a flow", "the { or [ that begins here is not closed; close it, or put the text in quotes"),
        (r"expected ':'", "a key is followed by a colon and a blank, as in `name: Staff`"),
        (
            r"<block end>, but found '<(scalar|alias|anchor|tag)>'",
            "nothing may follow a closing quote; put the whole text in quotes, and write a quote inside twice",
        ),
        (r"<block end>", "the line stands between two levels; indent it exactly as the lines it belongs to"),
        (r"another document", "a file holds one policy; take out the line of dashes"),
        (r"special characters are not allowed", "take the character out"),
    )
]
_FROM_CONTEXT = re.compile(r"flow (sequence|mapping)|simple key|quoted scalar.*end of stream")
"""Errors that are noticed later than where the mistake is: that is where the reader had begun."""


def explained(error: yaml.YAMLError, text: str) -> str:
    """`line: what was found; the remedy` of an error that PyYAML raised for this text."""
    line, what, about = _found(error, text)
    lines = text.splitlines()
    if (quote := _open_quote(text, line)) is not None:
        line, remedy = quote, "the quote that begins here is closed on a later line; close it on this one"
    elif re.search(r"operator:\s*!=", lines[line - 1] if line <= len(lines) else ""):
        remedy = 'a bare ! begins a tag in YAML; write "!=" with its quotes'
    elif "mapping values are not allowed" in what:
        line, remedy = _second_colon(lines, line)
    else:
        remedy = next(
            (remedy for pattern, remedy in _REMEDIES if pattern.search(about)),
            "check quotes, brackets and indentation here",
        )
    source = lines[line - 1].strip()[:80] if 0 < line <= len(lines) else ""
    return f"{line}: not readable: {what}" + (f" in {source!r}" if source else "") + f"; {remedy}"


def too_deep(text: str, most: int) -> str:
    """The same of a text that nests deeper than its reader can follow."""
    depth = 0
    for token in _tokens(text):
        if isinstance(token, (yaml.FlowSequenceStartToken, yaml.FlowMappingStartToken, yaml.BlockMappingStartToken)):
            depth += 1
        elif isinstance(token, (yaml.FlowSequenceEndToken, yaml.FlowMappingEndToken, yaml.BlockEndToken)):
            depth -= 1
        if depth > most:
            return f"{token.start_mark.line + 1}: not readable: is nested deeper than {most} levels; flatten it"
    return f"1: not readable: is nested deeper than {most} levels; flatten it"


def _found(error: yaml.YAMLError, text: str) -> tuple[int, str, str]:
    """The line, what was found there, and all that the error says."""
    if isinstance(error, yaml.MarkedYAMLError):
        what = error.problem or str(error)
        about = f"{error.context or ''}: {what}"
        late = error.context_mark is not None and _FROM_CONTEXT.search(about)
        mark = error.context_mark if late else error.problem_mark
        return (mark.line + 1 if mark else 1), what, about
    what = str(error).partition("\n")[0]
    position = getattr(error, "position", 0)
    return text.count("\n", 0, position) + 1, what, what


def _open_quote(text: str, line: int) -> int | None:
    """The line where a text in quotes begins that goes on to `line`, where something went wrong."""
    for token in _tokens(text):
        if isinstance(token, yaml.ScalarToken) and token.style in ("'", '"'):
            begins, ends = token.start_mark.line + 1, token.end_mark.line + 1
            if begins < ends == line:
                return int(begins)
    return None


def _second_colon(lines: list[str], line: int) -> tuple[int, str]:
    source = lines[line - 1] if line <= len(lines) else ""
    if len(re.findall(r":(?:\s|$)", source)) > 1:
        return line, "a text that holds a colon and a blank must be in quotes"
    if line > 1 and re.match(r"\s*-[^\s-]", lines[line - 2]):
        return line - 1, "a member of a list begins with a dash and a blank, as in `- id: staff`"
    return line, "the line is indented further than the one before it, and so goes on with its text; align it"


def _tokens(text: str) -> Iterator[yaml.Token]:
    """The tokens up to the first that cannot be read."""
    try:
        yield from yaml.scan(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return
