#!/usr/bin/env bash
# Guess: one JSON Patch can be put on many documents; these then have nothing in common.
# Truth: fast-json-patch puts the very object of the patch into each document: a change in one shows in all, and in the patch. rfc6902
# copies. In both, a patch that fails at a `test` leaves what stood before it done, though RFC 5789 wants all or nothing.
# Why it matters: a patch for a fleet ("set this zone") ties the robots' states together: the next change to one slows them all.
# Copy the patch for each document, and patch a copy that is kept only when all went well.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm i --silent --no-audit --no-fund fast-json-patch@3.1.1 rfc6902@5.4.0 >/dev/null
cat >ask.mjs <<'J'
import fast from "fast-json-patch";
import { applyPatch } from "rfc6902";

for (const [name, apply] of Object.entries({ fast: fast.applyPatch, rfc6902: applyPatch })) {
  const patch = [{ op: "add", path: "/zone", value: { speed: 1 } }];
  const [first, second, half] = [{}, {}, { a: 1 }];
  apply(first, patch);
  apply(second, patch);
  apply(first, [{ op: "replace", path: "/zone/speed", value: 9 }]);
  try {
    apply(half, [{ op: "replace", path: "/a", value: 2 }, { op: "test", path: "/a", value: 3 }]);
  } catch {}
  console.log(name, JSON.stringify([second, patch[0].value, half]));
}
J
seen=$(node ask.mjs)
echo "fast-json-patch 3.1.1 and rfc6902 5.4.0: the other document, the patch, and the document of a patch that failed:"
echo "$seen"
[ "$seen" = 'fast [{"zone":{"speed":9}},{"speed":9},{"a":2}]
rfc6902 [{"zone":{"speed":1}},{"speed":1},{"a":2}]' ]
