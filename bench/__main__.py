"""All benchmarks, printed and written to docs/benchmarks.md; `--against REV NAME ...`: some beside another commit."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

from bench import against, audit, policy, rules, stream

_PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"


_RUN, _BY_HAND = "\nThis run: ", "\n## Beside an earlier commit\n"
"""What is written anew is between these two."""


def main() -> None:
    lines = [stream.line(row) for row in stream.run()]
    table = policy.table(policy.run())
    many = rules.table(rules.run())
    logged = [audit.line(row) for row in audit.run()]
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    page = _PAGE.read_text("utf-8")
    text = (
        f"{page.partition(_RUN)[0]}{_RUN}{machine}.\n\n## The stream\n\n"
        "In brackets each round of ours; beside it the raw limit measured in the same run.\n\n"
        "```\n" + "\n".join(lines) + "\n```\n\n## Policy decisions\n\n```\n" + table.strip() + "\n```\n"
        "\n## Many rules in a store\n\n```\n" + many + "\n```\n"
        "\n## The audit log\n\n```\n" + "\n".join(logged) + "\n```\n"
    )
    _, kept, by_hand = page.partition(_BY_HAND)
    _PAGE.write_text(text + kept + by_hand, "utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--against"] and len(sys.argv) > 2:
        against.run(sys.argv[2], sys.argv[3:])
    else:
        main()
