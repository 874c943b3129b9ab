#!/usr/bin/env bash
# Guess: convert_from_registers with DATATYPE.BITS gives bit 0 of the register as item 0 of the list, or bit 15.
# Truth: neither: item 0 is bit 8. The high byte comes first, each byte from its lowest bit; a register of 5 (bits 0 and 2) has
# True at 8 and 10. Writing by convert_to_registers turns it the same way, so that a round trip shows nothing.
# Why it matters: an alarm word of a PLC whose manual says "bit 0: emergency stop" raises the alarm of bit 8 instead, and a reset
# that is written so hits another bit.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q pymodbus==3.16.1
cat >ask.py <<'P'
from pymodbus.client.mixin import ModbusClientMixin as Client

bits = Client.convert_from_registers([5], Client.DATATYPE.BITS)
print([place for place, bit in enumerate(bits) if bit], Client.convert_to_registers([True] + [False] * 15, Client.DATATYPE.BITS))
P
seen=$(v/bin/python ask.py)
echo "pymodbus 3.16.1, places of the bits of 5, and the register for a True at place 0: $seen"
[ "$seen" = "[8, 10] [256]" ]
