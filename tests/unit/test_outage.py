from __future__ import annotations

from brain.errors import Unavailable
from brain.stream.outage import Outage
from support.log_lines import caught_logs


def test_an_outage_is_logged_once_and_then_every_ten_seconds_whoever_notices() -> None:
    now = [0.0]
    outage = Outage(clock=lambda: now[0])
    with caught_logs() as logs:
        for tenth in range(201):
            now[0] = tenth / 10
            outage.report(
                ("reading", "storing", "watching")[tenth % 3], Unavailable("Redis is away; check that it runs")
            )
    assert [line.get("errors_since_last_line", 0) for line in logs] == [0, 99, 99]
    assert {line["error"] for line in logs} == {"Redis is away; check that it runs"}
    assert {line["level"] for line in logs} == {"warning"}
