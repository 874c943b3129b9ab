"""The rules of one collection: changed here, kept in the store, announced on the stream, equal to what others share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from brain.charter import EventType
from brain.errors import Conflict, InvalidInput
from brain.garbage import gc_paused
from brain.locks import InterruptibleLock
from brain.policy.codec import MARKER, RULES, decoded, encoded, is_rule, is_sealed, sealed
from brain.policy.events import (
    RULE_CREATED,
    RULE_DELETED,
    RULE_DISABLED,
    RULE_ENABLED,
    RULE_UPDATED,
    STORE_RESTORED,
    RuleChange,
    RulesRestored,
    RuleUpdated,
)
from brain.policy.flow.announced import flow_drafts
from brain.policy.history import VERSIONS, Change, History
from brain.policy.models import Rule, changes
from brain.policy.ruleset import RuleSet
from brain.store import Document, DocumentChange, Store, forking
from brain.store.mirror import Mirror, Restoration
from brain.stream.announcer import Announced, Announcer, EventDraft, announcer_for
from brain.stream.publisher import Publisher

_ATTEMPTS = 20
_SHOWN = 100  # ids in the event of a restoration
CHANGING = "/changing"
"""The key of a marker that earlier versions left in the store while they changed many rules. It means nothing now."""
Plan = Callable[[Mapping[str, Rule]], list[Change]]


class RuleCollection(NamedTuple):
    """Which rules a Rulebook holds: their collection, and that of their history.

    `all_or_none`: while one stored rule cannot be read, no change is taken over. Measures are taken over one by one:
    what stops somebody must not wait for the remedy of another.
    """

    collection: str = RULES
    history: str = VERSIONS
    all_or_none: bool = True


POLICY = RuleCollection()


class RuleRepository(forking.Part):
    """`rules` by id, `nothing` at first. Every change gives `apply` the compiled sets that decisions must go by.

    Making one reads the whole collection: raises Unavailable when that is not possible, InvalidInput naming a document
    that is no valid rule.
    """

    level: forking.Level = forking.Level.SERVICE

    def __init__(
        self,
        stream: Publisher | None,
        store: Store,
        clock: Callable[[], float],
        nothing: RuleSet,
        apply: Callable[[Sequence[RuleSet]], None],
        shelf: RuleCollection = POLICY,
    ) -> None:
        self.history: History = History(store, clock, shelf.history)
        self._stream = stream
        self._store = store
        self._clock = clock
        self._nothing = nothing
        self._apply = apply
        self._shelf = shelf
        self.mirror: Mirror = self._new_mirror()
        self._unsealed = False  # whether a document came from an earlier version, or another hand
        self._still = False
        self._lock = InterruptibleLock()  # held while the store is asked, however long it takes to answer
        self._set = nothing
        self._beside: Mapping[str, Document] | None = None
        self._other_sets: list[RuleSet] = []
        self._restoring = Announced()
        self._untaken: dict[str, Document | None] = {}  # seen in the store, not in force here yet; None: is to go
        forking.register(self)
        self._announcer()  # from now on, so that what ended processes left is shipped without a change here
        with gc_paused():
            self.refresh()

    def _new_mirror(self) -> Mirror:
        return Mirror(self._store, self._shelf.collection, entries=self._entries, restored=self._restored)

    @property
    def rules(self) -> Mapping[str, Rule]:
        """The rules by id."""
        return self._set.rules

    def commit(self, plan: Plan, *, by: str | None = None, note: str = "", switch: bool = False) -> list[Change]:
        """Carry out what `plan` makes of the present rules, in one step; the changes made.

        When another process was quicker, `plan` is asked again about what it left. `switch`: it only enables or
        disables. Raises Conflict when that happens again and again, Unavailable when the store does not answer.
        """
        with self._lock:
            for _ in range(_ATTEMPTS):
                wanted = plan(self.rules)
                if not wanted:
                    return []
                changed = self._changed([one.old for one in wanted if one.old], [one.new for one in wanted if one.new])
                drafts = (draft for change in wanted for draft in _drafts(change, by, note, switch))
                try:
                    announced = self._write(wanted, by, note, drafts)
                except Conflict:
                    self.refresh()
                    continue
                self._put_in_force(changed)
                self._announcer().hand_over(announced)
                return wanted
        raise Conflict(f"rule {wanted[0].rule.id!r} was changed by others {_ATTEMPTS} times meanwhile; try again")

    @property
    def is_open_to_earlier(self) -> bool:
        """Whether an earlier version has stored rules here, and would still read them."""
        return self._unsealed and MARKER not in self.mirror.documents

    def drop(self, keys: Iterable[str]) -> None:
        """Remove documents that have no place here, without a version or an event, and leave the MARKER.

        Raises Conflict, Unavailable.
        """
        with self._lock:
            known = {key: self.mirror.documents[key] for key in keys if key in self.mirror.documents}
            name = self._shelf.collection
            changes = [DocumentChange(name, key, None, one.version) for key, one in known.items()]
            if MARKER not in self.mirror.documents:
                changes.append(DocumentChange(name, MARKER, sealed(b"{}"), expected=0))
            self._make(changes, ())
            self._put_in_force(self._changed([self.rules[key] for key in known if key in self.rules], []))

    def refresh(self) -> bool:
        """Take over what other processes changed in the store; whether there was anything.

        Raises Unavailable when the store does not answer, InvalidInput when it holds a rule that cannot be read: then
        the rules known last stay in force.
        """
        with self._lock:
            try:
                look = self.mirror.look()
            finally:
                self._weigh_both()
            if look is not None:
                self._unsealed = self._unsealed or not all(is_sealed(one.data) for one in look.documents.values())
                self._untaken.update(look.documents)
                self._untaken.update(dict.fromkeys(look.deleted))
            if not self._untaken:
                return False
            with gc_paused():
                return self._take_over()

    def before_fork(self) -> None:
        """Wait for a thread that is changing something, so that nothing is copied half changed."""
        self._still = forking.take(self._lock, "the rules")

    def after_fork_in_parent(self) -> None:
        """Go on."""
        if self._still:
            self._lock.release()

    def after_fork_in_child(self) -> None:
        """Go on with a lock of its own; if a thread was changing something, read all again at the next look."""
        self._lock = InterruptibleLock()
        if not self._still:
            self._untaken = dict.fromkeys(self.rules)
            self.mirror = self._new_mirror()

    def _take_over(self) -> bool:
        """Put in force what was seen in the store."""
        found: dict[str, Rule | None] = {}
        faults = []
        for key, document in self._untaken.items():
            try:
                found[key] = None if document is None or not is_rule(key) else decoded(key, document.data)
            except InvalidInput as error:
                faults.append(error)
        if faults and self._shelf.all_or_none:
            raise faults[0]
        self._untaken = {key: one for key, one in self._untaken.items() if key not in found}
        removed = [self.rules[key] for key in found if key in self.rules]
        added = [rule for rule in found.values() if rule is not None]
        if removed or added:
            self._put_in_force(self._changed(removed, added))
        if faults:
            raise faults[0]
        return bool(removed or added)

    def _changed(self, removed: Sequence[Rule], added: Sequence[Rule]) -> RuleSet:
        with gc_paused():
            return self._set.changed(removed, added, self._clock())

    def _put_in_force(self, rules: RuleSet) -> None:
        """Let decisions go by the rules first, and say then that they hold: who reads `rules` relies on it."""
        self._apply([rules, *self._other_sets])
        self._set = rules

    def _weigh_both(self) -> None:
        """Let the stricter hold of what is known and of what the store has, for as long as it has lost something."""
        beside = self.mirror.beside
        if beside is self._beside:
            return
        self._beside, self._other_sets = beside, []
        if beside is not None:
            rules = [decoded(key, one.data) for key, one in beside.items() if is_rule(key)]
            self._other_sets = [self._nothing.changed([], rules, self._clock())]
        self._put_in_force(self._set)

    # Storing

    def _announcer(self) -> Announcer:
        return announcer_for(self._stream, self._store)

    def _write(
        self, wanted: Sequence[Change], by: str | None, note: str, drafts: Iterable[EventDraft[Any]]
    ) -> Announced:
        """Store the changes with their version of the history and their events."""
        known = self.mirror.documents
        changes = []
        for change in wanted:
            rule_id, new = change.rule.id, change.new
            expected = known[rule_id].version if rule_id in known else 0
            data = encoded(new) if new is not None else None
            changes.append(DocumentChange(self._shelf.collection, rule_id, data, expected))
        return self._make([*changes, *self.history.entry(wanted, by, note)], drafts)

    def _make(self, changes: Sequence[DocumentChange], drafts: Iterable[EventDraft[Any]]) -> Announced:
        if not changes:
            return Announced()
        announced = self._announcer().prepare(drafts)
        written = self._store.write([*changes, *announced.changes])
        self.mirror.wrote(changes, written)
        for change in changes:
            self._untaken.pop(change.key, None)
        return announced

    def _entries(self, restoration: Restoration) -> Sequence[DocumentChange]:
        """The version of the history that a restoration is, which works backwards from the rules now, and its event."""
        made = []
        for key in (*restoration.documents, *restoration.deleted):
            change = Change(_readable(restoration.instead.get(key)), _readable(restoration.documents.get(key)))
            if change != (None, None):
                made.append(change)
        shown: RulesRestored = {
            "collection": self._shelf.collection,
            "restored": len(restoration.documents),
            "deleted": len(restoration.deleted),
            "ids": [*restoration.documents, *restoration.deleted][:_SHOWN],
        }
        self._restoring = self._announcer().prepare([EventDraft(STORE_RESTORED, shown)])
        entry = self.history.entry(made, None, "the store had lost this; written back")
        return [*entry, *self._restoring.changes]

    def _restored(self, _: Restoration) -> None:
        self._announcer().hand_over(self._restoring)


def _drafts(change: Change, by: str | None, note: str, switch: bool) -> Iterator[EventDraft[Any]]:
    """The events that tell of the change."""
    old, new = change
    rule = change.rule
    payload: RuleChange = {"rule_id": rule.id, "rule_name": rule.name, "rule": rule.to_dict()}
    if by is not None:
        payload["by"] = by
    if note:
        payload["note"] = note
    yield from flow_drafts(change, by, note)
    if new is None:
        yield EventDraft(RULE_DELETED, payload)
    elif old is None:
        yield EventDraft(RULE_CREATED, payload)
    else:
        what = changes(old, new)
        if not switch:
            updated: RuleUpdated = {**payload, "changes": what}
            yield EventDraft(RULE_UPDATED, updated)
        if "enabled" in what:
            switched: EventType[RuleChange] = RULE_ENABLED if new.enabled else RULE_DISABLED
            yield EventDraft(switched, payload)


def _readable(document: Document | None) -> Rule | None:
    """The document's rule; None when it has none that can be read, which is said where rules are taken over."""
    try:
        return None if document is None or not is_rule(document.key) else decoded(document.key, document.data)
    except InvalidInput:
        return None
