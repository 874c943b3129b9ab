"""The command `brain`, also as `python -m brain`. Where its packages are missing it says which extra brings them."""

from __future__ import annotations

import sys

from brain.errors import MissingExtra
from brain.garbage import collect_seldom


def main() -> None:
    """Run the command line and exit: with 2 for a fault that the user can mend."""
    collect_seldom()
    try:
        from brain.cli import main as command
    except MissingExtra as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    command()


if __name__ == "__main__":
    main()
