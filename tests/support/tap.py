"""A Singer tap of so many orders: `python tap.py COUNT [--state FILE]`. It resumes inclusively, as taps do."""

from __future__ import annotations

import json
import sys

STATE_EVERY = 50


def main() -> None:
    count, start = int(sys.argv[1]), 0
    if "--state" in sys.argv:
        with open(sys.argv[sys.argv.index("--state") + 1]) as file:
            start = json.load(file)["bookmarks"]["orders"]
    properties = {"id": {"type": ["integer"]}, "total": {"type": ["null", "number"]}}
    schema = {"type": "SCHEMA", "stream": "orders", "schema": {"properties": properties}}
    print(json.dumps({**schema, "key_properties": ["id"], "bookmark_properties": ["id"]}))
    for number in range(start, count):
        print(f'{{"type": "RECORD", "stream": "orders", "record": {{"id": {number}, "total": {number}.10}}}}')
        if number % STATE_EVERY == STATE_EVERY - 1:
            print(json.dumps({"type": "STATE", "value": {"bookmarks": {"orders": number}}}), flush=True)


if __name__ == "__main__":
    main()
