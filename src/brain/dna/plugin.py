"""The dna plug-in, declared."""

from brain.plugins import Command, Plugin, View

PLUGIN = Plugin(
    name="dna",
    purpose="Keeps agents' configurations as versioned genomes, looks for better ones, and takes back what is worse.",
    events="brain.dna.events",
    settings="brain.dna.settings:DnaSettings",
    listens=("policy.rule_evaluated", "immune.event_published"),  # and what the settings name
    open="brain.dna.component:open_component",
    commands={
        "dna": Command("brain.dna.commands:app", "Genomes of agents: change, compare, study, promote, roll back."),
    },
    view=View("Genomes", "brain.dna:page", section="Govern"),
)
