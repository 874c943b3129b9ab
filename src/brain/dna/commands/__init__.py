"""`brain dna`: genomes of agents, studies, promotion and rollback."""

from brain.dna.commands.genomes import app
from brain.dna.commands.study import app as study

app.add_typer(study, name="study")

__all__ = ["app"]
