"""The settings of incident automation: the table `[incidents]` of brain.toml.

Each installed ticket system has a table of its own below it, `[incidents.KIND]`, validated by the system's model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, create_model

from brain.connectors.tickets import TicketSettings, ticket_systems
from brain.errors import InvalidInput
from brain.incidents.models import THREATS_CHANNEL
from brain.kit.outbox import EVENTS_LABEL


class CoreIncidentSettings(BaseModel):
    """The settings that do not depend on the installed ticket systems; `IncidentSettings` has a table for each."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    reopen_window: float = Field(
        default=86_400.0,
        ge=0,
        description="Seconds after its resolution in which a new event of the same correlation id reopens an incident",
    )
    decision_window: float = Field(
        default=600.0,
        ge=0,
        le=86_400,
        description="Seconds before an event of an incident from which its agents' decisions are shown",
    )
    comment_seconds: float = Field(default=60.0, ge=0, description="Least seconds between two comments on one ticket")
    poll_seconds: float | None = Field(
        default=60.0, gt=0, description="Seconds between two reads of an open ticket's state; none: webhooks alone"
    )
    per_minute: int = Field(default=120, ge=1, description="Most tickets updated a minute in one system")
    lease_seconds: float = Field(
        default=120.0, ge=2, description="Seconds after which another process sends what a dead process was sending"
    )

    @property
    def systems(self) -> Mapping[str, TicketSettings]:
        """The settings of each ticket system that is set up, by kind; each incident has a ticket in each of them."""
        tables = {kind: getattr(self, kind, None) for kind in ticket_systems()}
        return {kind: table for kind, table in tables.items() if table is not None}


def _incident_settings() -> type[CoreIncidentSettings]:
    """The model with a table for each installed ticket system. Raises InvalidInput for a kind that cannot be one."""
    reserved = {*CoreIncidentSettings.model_fields, "systems", EVENTS_LABEL, THREATS_CHANNEL}
    tables: dict[str, Any] = {}
    for kind, system in ticket_systems().items():
        if kind in reserved:
            raise InvalidInput(f"ticket system {kind!r}: this name is reserved; the package needs another kind")
        model = system.settings_model
        words = (model.__doc__ or "").strip().partition("\n")[0] or f"The ticket system {kind}"
        tables[kind] = (model | None, Field(default=None, description=words))
    return create_model("IncidentSettings", __base__=CoreIncidentSettings, __module__=__name__, **tables)


if TYPE_CHECKING:
    IncidentSettings = CoreIncidentSettings
else:
    IncidentSettings = _incident_settings()
