#!/usr/bin/env bash
# Guess: `entry.memberOf.value` of ldap3 is a list of groups, as the directory may hold several.
# Truth: of a single group it is the text itself; of more it is a list. `.values` is a list always. `in` on the first is a search in the
# text: "ops" is in "cn=no-ops,...".
# Why it matters: mapping of groups to roles that was tried with a user of many groups is another function for users of one: loops go over
# letters, and short names are found inside of longer ones. Use `.values`.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q ldap3==2.9.1
cat >ask.py <<'P'
from ldap3 import MOCK_SYNC, Connection, Server

directory = Connection(Server("directory"), user="cn=one,o=x", password="p", client_strategy=MOCK_SYNC)
for name, groups in (("one", ["cn=no-ops,o=x"]), ("two", ["cn=a,o=x", "cn=b,o=x"])):
    entry = {"objectClass": "person", "sn": name, "userPassword": "p", "memberOf": groups}
    directory.strategy.add_entry(f"cn={name},o=x", entry)
directory.bind()
directory.search("o=x", "(objectClass=person)", attributes=["memberOf"])
one, two = directory.entries
print(one.memberOf.value, two.memberOf.value, one.memberOf.values)
P
seen=$(v/bin/python ask.py)
echo "ldap3 2.9.1, value of one group and of two, values of one: $seen"
[ "$seen" = "cn=no-ops,o=x ['cn=a,o=x', 'cn=b,o=x'] ['cn=no-ops,o=x']" ]
