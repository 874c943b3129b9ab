"""The access plug-in, declared."""

from brain.plugins import Command, Plugin

PLUGIN = Plugin(
    name="access",
    purpose="Keeps the named keys of people, agents and services, with the role of each, and agents' own keys.",
    events="brain.access.events",
    settings="brain.access.settings:AccessSettings",
    open="brain.access.component:open_component",
    commands={
        "keys": Command("brain.access.commands:app", "Keys of the server: new, list, rotate, revoke, roles."),
        "agents": Command("brain.access.agents_commands:app", "Agents with keys: register, list, retire, session."),
    },
)
