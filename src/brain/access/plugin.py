"""The access plug-in, declared."""

from brain.plugins import Command, Plugin, View

PLUGIN = Plugin(
    name="access",
    purpose="Keeps the named keys of people, agents and services, with the role of each, and agents' own keys.",
    events="brain.access.events",
    settings="brain.access.settings:AccessSettings",
    open="brain.access.component:open_component",
    provides={"PublicUrls": "brain.access.public_urls:public_urls"},
    view=View("Agents", "brain.access:page", section="Govern"),
    commands={
        "keys": Command("brain.access.commands:app", "Keys of the server: new, list, rotate, revoke, roles."),
        "agents delegate": Command(
            "brain.access.agents_commands:delegate", "Let another agent ask in an agent's place."
        ),
        "agents register": Command("brain.access.agents_commands:register", "Register an agent with its key."),
        "agents registered": Command("brain.access.agents_commands:registered", "List the agents that have keys."),
        "agents retire": Command("brain.access.agents_commands:retire", "End an agent's key and sessions."),
        "agents session": Command("brain.access.agents_commands:session", "Get a short session as an agent."),
    },
)
