"""What a guard round a plain function of three arguments costs, here and at another commit, measured by turns.

`python -m bench.guard --other ../base` prints both and their ratio; `../base` is a checkout of the other commit. Each
turn is a process of its own, with the source of one of the two on its path.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TURNS = 7
_ROUNDS = 9
_CALLS = 5_000


def main() -> None:
    """Print the figures."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--other", type=Path, help="a checkout of the commit to compare with")
    arguments.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.one:
        print(json.dumps(measure()))
        return
    here = Path(__file__).parents[1]
    print(report(by_turns(here, given.other or here)))


def by_turns(here: Path, other: Path) -> list[tuple[dict[str, float], dict[str, float]]]:
    """For each turn the microseconds of each kind of call: here, and there."""
    return [(_turn(here), _turn(other)) for _ in range(TURNS)]


def report(turns: list[tuple[dict[str, float], dict[str, float]]]) -> str:
    """The medians and the ratio, with the spread of the turns' own ratios."""
    lines = []
    for kind in turns[0][0]:
        ours, theirs = ([turn[side][kind] for turn in turns] for side in (0, 1))
        ratios = sorted(here / there for here, there in zip(ours, theirs, strict=True))
        lines.append(
            f"{kind:<34}{statistics.median(ours):>7.2f} us, there {statistics.median(theirs):>7.2f} us; "
            f"{statistics.median(ratios):.2f} times ({ratios[0]:.2f} - {ratios[-1]:.2f})"
        )
    return "\n".join(lines)


def _turn(checkout: Path) -> dict[str, float]:
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src")}
    command = [sys.executable, "-P", __file__, "--one"]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def measure() -> dict[str, float]:
    """The microseconds that each kind of guarded call takes in this process: the median of the rounds."""
    from brain.policy import Condition, Guard, PolicyEngine, Rule

    engine = PolicyEngine()
    engine.add_rule(
        Rule(id="support", name="support", effect="ALLOW", conditions=[Condition("agent_role", "==", "support")])
    )
    engine.add_rule(
        Rule(id="big", name="big", effect="DENY", priority=5, conditions=[Condition("params.amount", ">", 100)])
    )
    guard = Guard(engine, agent={"agent_id": "a1", "agent_role": "support"})

    def refund(order_id: int, amount: int, note: str) -> None: ...

    plain = guard("refund")(refund)
    named = guard("refund", resource="order/{order_id}")(refund)
    kinds = {
        "three arguments by position": lambda: plain(1, 20, "late"),
        "three arguments, two by name": lambda: plain(1, amount=20, note="late"),
        "and a resource made of one": lambda: named(1, 20, "late"),
    }
    return {kind: statistics.median(_round(call) for _ in range(_ROUNDS)) for kind, call in kinds.items()}


def _round(call: object) -> float:
    assert callable(call)
    started = time.perf_counter()
    for _ in range(_CALLS):
        call()
    return (time.perf_counter() - started) / _CALLS * 1e6


if __name__ == "__main__":
    main()
