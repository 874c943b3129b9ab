#!/usr/bin/env bash
# Guess: in a SCIM filter `and` binds before `or`, as RFC 7644 says: a or b and c is a or (b and c).
# Truth: scim2-filter-parser makes it (a or b) and c: both have one rank, from left to right. `active eq true` compares with the
# text 'TRUE', and the underscore of `co "a_b"` goes into LIKE as a wildcard.
# Why it matters: "title x, or title y and active" leaves out the inactive x, so a sync of accounts passes them over, with no
# error. Write the parentheses, and turn booleans over before the query.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q scim2-filter-parser==0.7.0
cat >ask.py <<'P'
from scim2_filter_parser.queries import SQLQuery

NAMES = {("title", None, None): "r", ("active", None, None): "a"}


def where(text):
    query = SQLQuery(text, "users", NAMES)
    return " ".join(query.sql.split("WHERE")[1].split()).rstrip(";"), list(query.params_dict.values())


condition, values = where('title eq "x" or title eq "y" and active eq true')
_, [pattern] = where('title co "a_b"')
print(f"{condition} {values}; LIKE {pattern}")
P
seen=$(v/bin/python ask.py)
echo "scim2-filter-parser 0.7.0: $seen"
[ "$seen" = "((r = %s) OR (r = %s)) AND (a = %s) ['x', 'y', 'TRUE']; LIKE %a_b%" ]
