"""The missions plug-in, declared."""

from brain.plugins import Command, Plugin, View

PLUGIN = Plugin(
    name="missions",
    purpose="Gives the tasks of missions to agents by lease, and sees them through: retries, deadlines, compensation.",
    events="brain.missions.events",
    settings="brain.missions.settings:MissionSettings",
    listens=(
        "policy.rule_created",
        "policy.rule_updated",
        "policy.approval_granted",
        "policy.approval_refused",
        "policy.approval_expired",
    ),
    open="brain.missions.component:open_component",
    commands={
        "missions": Command("brain.missions.commands:app", "Missions: run, list, show, cancel, and orders for robots."),
        "agents": Command("brain.missions.commands_agents:app", "Agents: those that do tasks, and those with keys."),
    },
    view=View("Missions", "brain.missions:page", section="Operate"),
)
