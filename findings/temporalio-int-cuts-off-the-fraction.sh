#!/usr/bin/env bash
# Guess: a temporalio parameter that is an `int` refuses 1.5, as it does "1"; a dataclass refuses a key that it does not have.
# Truth: 1.5 arrives as 1 and True as 1, in dataclass fields and lists too; unknown keys are dropped; bytes inside of a list
# arrive as a list of numbers; nan is written as NaN, which is no JSON.
# Why it matters: an amount that another service sends as 19.99 becomes 19 with no sign, and a new parameter is lost on an older
# worker. Annotate float, or use the converter of temporalio.contrib.pydantic, which refuses 1.5.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q temporalio==1.35.0
cat >ask.py <<'P'
import asyncio
import dataclasses

from temporalio.converter import DataConverter, value_to_type


@dataclasses.dataclass
class Order:
    amount: int


def arrives(hint, value):
    try:
        return value_to_type(hint, value)
    except TypeError:
        return "refused"


def written(value):
    return asyncio.run(DataConverter.default.encode([value]))[0].data.decode()


print(arrives(Order, {"amount": 19.99, "currency": "EUR"}), arrives(int, True), arrives(int, "1"), sep=", ", end="; ")
print(f"nested bytes {written([b'x'])}, nan {written(float('nan'))}")
P
seen=$(v/bin/python ask.py)
echo "temporalio 1.35.0: $seen"
[ "$seen" = "Order(amount=19), 1, refused; nested bytes [[120]], nan NaN" ]
