"""The settings `[metrics]` of brain.toml."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from brain.secret import Secret

if TYPE_CHECKING:
    from brain.metrics.definitions import DefinitionSet


class MetricsSettings(BaseModel):
    """How long series are kept, how many labels they have, and where they are sent."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    keep_10s_hours: float = Field(default=24.0, ge=1, description="Hours that points of 10 s are kept")
    keep_1m_days: float = Field(
        default=30.0, ge=1, description="Days that points of 1 min, and what the health score is made of, are kept"
    )
    keep_1h_days: float = Field(
        default=400.0, ge=1, description="Days that points of 1 h, and closed threats, are kept"
    )
    top: int = Field(
        default=20, ge=1, le=1_000, description="Most agents and actions that /metrics and OTLP tell apart"
    )
    otlp_endpoint: str = Field(
        default="",
        pattern=r"^(https?://.+)?$",
        description="URL that metrics are sent to by OTLP over HTTP, such as http://collector:4318/v1/metrics",
    )
    otlp_headers: dict[str, Secret] = Field(
        default_factory=dict, description="Headers sent with them, such as Authorization"
    )
    otlp_interval_seconds: float = Field(default=15.0, ge=0.1, description="Seconds between two sendings")
    definitions: dict[str, Any] = Field(
        default_factory=dict, description="Metrics of your own, made of the fields of events"
    )
    limits: dict[str, Any] = Field(default_factory=dict, description="Limits on series")
    slos: dict[str, Any] = Field(default_factory=dict, description="Service level objectives")

    @field_validator("definitions", "limits", "slos")
    @classmethod
    def _sound(cls, given: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if given:
            from brain.metrics.definitions import DefinitionSet, faults  # their models are built when they are wanted

            try:
                DefinitionSet.model_validate({info.field_name: given})
            except ValidationError as error:
                raise ValueError(faults(error)) from error
        return given

    def defines(self) -> bool:
        """Whether brain.toml defines anything."""
        return bool(self.definitions or self.limits or self.slos)

    def defined(self) -> DefinitionSet:
        """What brain.toml defines."""
        from brain.metrics.definitions import DefinitionSet

        given = {"definitions": self.definitions, "limits": self.limits, "slos": self.slos}
        return DefinitionSet.model_validate(given)
