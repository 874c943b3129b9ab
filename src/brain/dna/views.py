"""What is shown of agents."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from brain.dna.models import Outcome


class AgentState(msgspec.Struct, frozen=True):
    """An agent that has genomes."""

    agent_id: Annotated[str, Meta(description="The agent.")]
    versions: Annotated[int, Meta(description="How many versions there are.")]
    current_snapshot_id: Annotated[int | None, Meta(description="The one that runs; null while none was promoted.")]


class Outcomes(msgspec.Struct, frozen=True, kw_only=True):
    """What came of an agent's genomes."""

    agent_id: Annotated[str, Meta(description="The agent.")]
    genomes: Annotated[list[Outcome], Meta(description="By genome; those of which nothing was seen are left out.")]


class Current(msgspec.Struct, frozen=True, kw_only=True):
    """The genome that an agent, or one instance of it, runs now."""

    agent_id: Annotated[str, Meta(description="The agent.")]
    snapshot_id: Annotated[int, Meta(description="The snapshot.")]
    version: Annotated[int, Meta(description="Its version.")]
    genome_hash: Annotated[str, Meta(description="Its hash; name it as `genome` in the context of decisions.")]
    dna: Annotated[dict[str, Any], Meta(description="The configuration.")]
    traits: Annotated[dict[str, float], Meta(description="Traits, as numbers.")]
    rollout_id: Annotated[str, Meta(description="The rollout that it runs in.")]
    candidate: Annotated[bool, Meta(description="Whether it is a canary, and others run another one.")]
