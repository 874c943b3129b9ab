"""What each role may do, decided by the policy engine over rules of its own: users' rules lock out no admin."""

from __future__ import annotations

import json
from functools import cached_property
from importlib.resources import files

from brain.charter import Principal
from brain.policy.engine import PolicyEngine

SHIPPED = "roles.json"


class Roles:
    """The rules that ship with the package, or those of a policy file. They are read at the first question."""

    def __init__(self, file: str = "") -> None:
        self._file = file

    @cached_property
    def _engine(self) -> PolicyEngine:
        """Raises InvalidInput for a file that is no policy file."""
        from brain.policy.files import read_policy, rules_from  # brings in YAML

        engine = PolicyEngine(follow_interval=None)
        if self._file:
            engine.import_rules(read_policy(self._file).rules)
        else:
            text = files("brain.access").joinpath(SHIPPED).read_text(encoding="utf-8")
            engine.import_rules(rules_from(json.loads(text)["rules"]))
        return engine

    def check(self) -> None:
        """Raises InvalidInput when the rules cannot be read."""
        _ = self._engine

    def allow(self, who: Principal, action: str, method: str, path: str) -> bool:
        """Whether the rules let this role do it."""
        context = {
            "agent_id": who.name,
            "agent_role": who.role,
            "action": action,
            "resource": path,
            "environment": {"address": who.address, "method": method, "kind": who.kind, "how": who.how},
        }
        return self._engine.evaluate(context).allowed
