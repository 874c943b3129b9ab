"""The approvals plug-in, declared."""

from brain.plugins import Command, Plugin

PLUGIN = Plugin(
    name="approvals",
    purpose="Sends people who may approve a signed link, and takes their answer.",
    events="brain.approvals.events",
    settings="brain.approvals.settings:ApprovalsSettings",
    listens=("policy.approval_requested",),
    open="brain.approvals.component:open_component",
    commands={"approvals": Command("brain.approvals.commands:app", "Approvals by links: make one for a person.")},
)
