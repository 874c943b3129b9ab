"""The plug-in opened: its routes and its tasks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from brain.dna.promotion import RolloutService
from brain.dna.service import GenomeService
from brain.dna.settings import DnaSettings
from brain.dna.studies import StudyService
from brain.dna.tasks import DnaTasks
from brain.kit.protocols import EffectGuard
from brain.plugins import Component, PluginContext, Routes


@asynccontextmanager
async def open_component(context: PluginContext) -> AsyncIterator[Component]:
    """Genomes on these parts."""
    settings = context.table(DnaSettings)
    guard = context.find(EffectGuard)
    tasks = DnaTasks(context, settings)
    await tasks.prepare()
    genomes = GenomeService(context.database)
    studies = StudyService(context.database, settings)
    rollouts = RolloutService(context.database, guard)
    try:
        yield Component(
            Routes(("/dna",), "brain.dna.http:dna_router", (genomes, studies, rollouts)),
            tasks.loops,
            tasks.metrics,
            {"dna": tasks.check},
        )
    finally:
        if guard is not None:
            await guard.close()
