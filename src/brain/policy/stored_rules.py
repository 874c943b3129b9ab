"""Reads the stored rules without an engine: the readable ones, and the fault of each other one.

An engine does not start while one stored rule cannot be read, for leaving it out could allow what it denies. Commands
that only show, export or remove rules need none, and are what such a store is mended with.
"""

from __future__ import annotations

from typing import NamedTuple

from brain.errors import InvalidInput, NotFound
from brain.policy.codec import MEASURES, RULES, decoded, is_rule
from brain.policy.models import Rule
from brain.store import Store
from brain.unreadable import left_out


class StoredRules(NamedTuple):
    """`rules` in order of precedence, measures among them; `faults` by the key of each that cannot be read."""

    rules: list[Rule]
    faults: dict[str, InvalidInput]


def read_rules(store: Store) -> StoredRules:
    """What the store holds. Each that cannot be read is also said as `brain.unreadable` does. Raises Unavailable."""
    rules: list[Rule] = []
    faults: dict[str, InvalidInput] = {}
    for collection in (MEASURES, RULES):
        for document in store.read(collection).documents:
            if not is_rule(document.key):
                continue
            try:
                rules.append(decoded(document.key, document.data))
            except InvalidInput as error:
                faults[document.key] = error
                left_out(collection, document.key, error)
    return StoredRules(sorted(rules, key=lambda rule: rule.order), faults)


def remove_unreadable(store: Store, rule_id: str) -> InvalidInput:
    """Remove a stored rule that cannot be read; what was wrong with it. There is no version to bring it back from.

    Raises NotFound when there is none, and InvalidInput when it can be read: then an engine removes it.
    """
    document = store.get(RULES, rule_id) if is_rule(rule_id) else None
    if document is None:
        raise NotFound(f"there is no rule {rule_id!r}; `brain policy list` lists the rules")
    try:
        decoded(rule_id, document.data)
    except InvalidInput as error:
        store.delete(RULES, rule_id, document.version)
        return error
    raise InvalidInput(f"rule {rule_id!r} can be read; delete it with PolicyEngine.delete_rule")
