"""The policy plug-in, declared."""

from brain.plugins import Command, Plugin

PLUGIN = Plugin(
    name="policy",
    purpose="Decides what agents may do: rules, decisions, approvals, containment and the kill switch.",
    events="brain.policy.events",
    open="brain.policy.component:open_component",
    commands={
        "policy": Command("brain.policy.commands:app", "Rules and decisions: what agents may do."),
    },
    provides={
        "ApprovalRequests": "brain.policy.asked:approval_requests",
        "EffectGuard": "brain.policy.effects:effect_guard",
        "PolicyMeasures": "brain.policy.changes_for_others:policy_measures",
    },
)
