"""Texts from elsewhere, made to do nothing where they are shown: one function for each kind of output.

An agent, a log line or a webhook chooses these texts. A terminal obeys control characters (ECMA-48), an editor or
browser lets bidirectional controls reorder what is read (Unicode TR 36, CVE-2021-42574), a spreadsheet runs formulas
(OWASP, "CSV Injection"), a CEF reader splits at `|`, `=` and line ends, Slack follows `<...>` (docs.slack.dev,
"Formatting message text"), and ServiceNow shows HTML between `[code]` and `[/code]` (its journal fields). What is
changed stays readable: a control is written as the escape that Python and JSON have for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_CONTROLS = "\x00-\x08\x0b-\x1f\x7f-\x9f"
_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_HIDDEN = "\u2028\u2029\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
_ACTS = re.compile(f"[{_CONTROLS}{_BIDI}{_HIDDEN}]")
_JSON_ACTS = re.compile(f"[\x7f-\x9f{_BIDI}{_HIDDEN}]")
_MAY_ACT = re.compile(rb"[\x7f\xc2\xd8\xe2\xef\xf3]").search
"""In UTF-8, the first bytes of what JSON allows in a string and `_JSON_ACTS` has."""
_CODE = re.compile(r"\[(?=\s*/?\s*code\s*\])", re.IGNORECASE)
_FORMULA = tuple("=+-@\t\r\n\0＝＋－＠")
_CALLS = re.compile(r"@(?=\S)")
_OPENS = re.compile(r"<(?=\S)")
_LINE_ENDS = re.compile(r"\r\n|\r|\n")


def printable(text: str, width: int = 0) -> str:
    """For a terminal or a log: one line, cut to `width` (0: whole), every character that is not printed an escape."""
    shown = (
        text if text.isprintable() else "".join(letter if letter.isprintable() else _escape(letter) for letter in text)
    )
    return f"{shown[: width - 1]}…" if 0 < width < len(shown) else shown


def plain_text(text: str) -> str:
    """For mail, messages and tickets without markup: line ends and tabs stay; other controls become escapes."""
    return text if text.isascii() and text.isprintable() else _ACTS.sub(_escaped, _LINE_ENDS.sub("\n", text))


def plain_values(value: object) -> object:
    """For JSON that a service shows to people: each text and name in the value as `plain_text` has it."""
    match value:
        case str():
            return plain_text(value)
        case Mapping():
            return {plain_text(str(name)): plain_values(member) for name, member in value.items()}
        case list() | tuple():
            return [plain_values(member) for member in value]
        case _:
            return value


def json_bytes(data: bytes) -> bytes:
    """For JSON that a person may see: the same document, with controls and bidirectional marks as `\\uXXXX`."""
    if _MAY_ACT(data) is None:
        return data
    return _JSON_ACTS.sub(_json_escaped, data.decode("utf-8", "surrogatepass")).encode("utf-8", "surrogatepass")


def csv_cell(value: object) -> object:
    """For CSV: controls as escapes, and an apostrophe before a text that a spreadsheet takes for a formula."""
    if not isinstance(value, str):
        return value
    shown = plain_text(value)
    return f"'{shown}" if value.lstrip(" \u00a0\u3000").startswith(_FORMULA) else shown


def cef_header(text: str) -> str:
    """For a field of a CEF header: one line, with `\\` and `|` escaped."""
    return " ".join(printable(line).replace("\\", "\\\\").replace("|", "\\|") for line in text.splitlines())


def cef_value(text: str) -> str:
    """For a value of a CEF extension: `\\` and `=` escaped, line ends as `\\n`, other controls as escapes."""
    lines = (printable(line) for line in _LINE_ENDS.split(text))
    return "\\n".join(line.replace("\\", "\\\\").replace("=", "\\=") for line in lines)


def slack_text(text: str) -> str:
    """For Slack's markup, in which `&`, `<` and `>` act wherever they stand; controls become escapes."""
    return plain_text(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def chat_text(text: str) -> str:
    """For chats of all kinds, each with a markup of its own: nobody is called by `@everyone` or `<!here>`, and no words
    stand for a link. The `@` becomes a wide one, `<` a single guillemet, and `](` gets a space."""
    return _CALLS.sub("＠", _OPENS.sub("‹", plain_text(text))).replace("](", "] (")


def servicenow_text(text: str) -> str:
    """For a field of ServiceNow: `[code]` and `[/code]`, between which it shows HTML, get a space and stay text."""
    return _CODE.sub("[ ", plain_text(text))


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode()


def _escaped(found: re.Match[str]) -> str:
    return _escape(found[0])


def _json_escaped(found: re.Match[str]) -> str:
    pairs = found[0].encode("utf-16-be")
    return "".join(f"\\u{pairs[at]:02x}{pairs[at + 1]:02x}" for at in range(0, len(pairs), 2))
