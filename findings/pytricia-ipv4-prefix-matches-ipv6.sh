#!/usr/bin/env bash
# Guess: a PyTricia of 128 bits may hold prefixes of IPv4 and IPv6 side by side; each address is looked up among its own kind.
# Truth: an IPv4 prefix lies at the front of the same tree: 10.0.0.0/8 answers for a00::1, and 32.1.13.0/24 for 2001:db8::1,
# since these addresses begin with the same bits.
# Why it matters: owners, sites and threat lists of one kind of address are reported for the other: an alert names a site that
# has nothing to do with it. Keep two trees.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q pytricia==1.3.0
cat >ask.py <<'P'
from pytricia import PyTricia

sites = PyTricia(128)
sites["10.0.0.0/8"] = "office"
sites["32.1.13.0/24"] = "partner"
print(", ".join(f"{address} is in {sites.get(address)}" for address in ("a00::1", "2001:db8::1", "10.1.2.3")))
P
seen=$(v/bin/python ask.py)
echo "pytricia 1.3.0: $seen"
[ "$seen" = "a00::1 is in office, 2001:db8::1 is in partner, 10.1.2.3 is in office" ]
