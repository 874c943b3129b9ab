"""The plug-in of pytest that comes with the package, in runs of other projects."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

DOCS = Path(__file__).parents[2] / "docs"


def test_the_plugin_stops_no_project_that_has_a_brain_of_its_own(pytester: pytest.Pytester) -> None:
    pytester.mkpydir("brain")
    pytester.makepyfile("import brain\n\ndef test_own():\n    assert not hasattr(brain, 'EventStream')\n")
    result = pytester.runpython_c(
        "import sys, pytest; sys.path.insert(0, ''); sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider']))"
    )
    assert (result.ret, result.outlines[-1][:8]) == (0, "1 passed")


def test_the_plugin_gives_the_fixture_and_fails_a_test_whose_events_were_lost_and_the_docs_show_it(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        """
        from brain.stream.publisher import emit
        from brain.threats.events import DETECTED

        def test_good(recording_stream):
            emit(recording_stream, DETECTED, DETECTED.example)
            assert len(recording_stream.events) == 1

        def test_bad(recording_stream):
            emit(recording_stream, DETECTED, {})

        def test_refused(recording_stream):
            recording_stream.publish("no event")
        """
    )
    example = re.search(r"^```python\n(.*?)^```", (DOCS / "testing.md").read_text(), re.M | re.S)
    assert example is not None
    pytester.makepyfile(test_shop=example[1])
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=6, errors=2)
    result.stdout.fnmatch_lines(
        [
            "*events that could not be published: {'threat.detected': 1}*",
            "*EnvelopeError: event: cannot be published: AttributeError*",
        ]
    )
