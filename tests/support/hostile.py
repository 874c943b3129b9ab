"""Texts as an attacker would choose them, harmless here, and what must not be left of them in any output."""

# ruff: noqa: E501

from __future__ import annotations

import re

ACTS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
HOSTILE = (
    "\x1b[2J", "\x1b]0;owned\x07", "\x1b]8;;https://evil.example\x1b\\", "\x9b31m", "\x9d0;t\x9c", "\x7f", "\0", "\r", "\b" * 9, "\x85",
    "\u202e", "\u2066", "\u2069", "\u200f", "\u061c", "\u2028", "\ufeff", "\U000e0041",
    "=cmd|' /C calc'!A0", "+1+1", "-1+1", "@SUM(A1)", "\t=1", " =1", "\uff1d1",
    "a|b", "a=b", "\\", "\\|", "\r\n", "\n", "CEF:0|x|y", "rt=1 act=2",
    "<!channel>", "<@U1>", "<https://evil.example|bank>", "&lt;", "@here", "<script>alert(1)</script>", "<img src=x onerror=y>",
    "[code]<b>x</b>[/code]", "[ CODE ]<i>", "[/code]", "[[code]code]", "[red]bold[/red]", "{title}", '"', "'", ",", "Bcc: x@y.example", "word",
)  # fmt: skip
