"""The playbooks plug-in, declared."""

from brain.plugins import Command, Plugin, View

PLUGIN = Plugin(
    name="playbooks",
    purpose="Closes the loop: contains, heals and asks by playbooks, each step decided by the rules and done once.",
    events="brain.playbooks.events",
    settings="brain.playbooks.settings:PlaybookSettings",
    listens=("threat.*", "immune.*"),
    open="brain.playbooks.component:open_component",
    commands={
        "playbooks": Command("brain.playbooks.commands:app", "Playbooks: check, test, run by hand, show what ran."),
    },
    view=View("Playbooks", "brain.playbooks:page", section="Respond"),
)
