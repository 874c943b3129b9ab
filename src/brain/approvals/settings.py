"""The table `[approvals]`: who approves by links, and how each is reached."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.@\-]{0,63}$")]


class PersonSettings(BaseModel):
    """How one person is reached."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    notifier: str = Field(default="", description="A name in [alerting.notifiers]; empty: `brain approvals link` alone")
    address: str = Field(
        default="",
        pattern=r"^([^@\s]+@[^@\s]+)?$",
        description="For a notifier by e-mail: the person's address, in the place of its own receivers",
    )

    @property
    def receiver(self) -> tuple[str, str]:
        """What must be one person's alone."""
        return self.notifier, self.address.lower()


class ApprovalsSettings(BaseModel):
    """Approvals by links."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    people: dict[Name, PersonSettings] = Field(
        default_factory=dict, description="Who may approve by a link, by the name that rules and events have"
    )

    @model_validator(mode="after")
    def _are_reached_apart(self) -> ApprovalsSettings:
        taken: dict[tuple[str, str], str] = {}
        for name, person in self.people.items():
            if person.address and not person.notifier:
                raise ValueError(f"people.{name}.address: needs a notifier by e-mail; name it in notifier")
            if person.notifier and (other := taken.setdefault(person.receiver, name)) != name:
                raise ValueError(
                    f"people.{name}: {other} is reached by the same notifier and address, and each could answer for "
                    "the other; give each a receiver of its own"
                )
        return self
