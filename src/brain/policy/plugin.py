"""The policy plug-in, declared."""

from brain.plugins import Plugin

PLUGIN = Plugin(
    name="policy",
    purpose="Decides what agents may do: rules, decisions, approvals, containment and the kill switch.",
    events="brain.policy.events",
    open="brain.policy.http:open_component",
    commands={"policy": "brain.policy.commands:app"},
)
