"""Notifiers: the services that pages are sent through, registered by kind in the entry points `brain.notifiers`:

    [project.entry-points."brain.notifiers"]
    matrix = "brain_matrix:MatrixNotifier"

A table `[alerting.notifiers.NAME]` with `kind = "matrix"` is then checked by the model that the class names. Our own
notifiers are registered the same way. docs/plugins.md shows how to write, test and publish one.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from brain.connectors.registry import Registry
from brain.errors import InvalidInput
from brain.model_faults import fault_words
from brain.setting_names import remedy

if TYPE_CHECKING:  # the settings of every command are read with this file: it must not load an HTTP client
    from brain.connectors.pages import Page
    from brain.connectors.sender import Sender


class NotifierSettings(BaseModel):
    """What every notifier's table has. The model of one kind extends it with the settings of its service."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True
    )

    kind: str = Field(description="The service: pagerduty, slack, webhook, email, apprise, or an installed one")
    at_most: int = Field(60, ge=1, description="Most pages within `per` seconds; further ones are held back")
    per: Annotated[float, Field(gt=0, le=86_400)] = Field(60.0, description="Seconds in which `at_most` counts")


S = TypeVar("S", bound=NotifierSettings)


class Notifier(ABC, Generic[S]):
    """One service that pages are sent through. Subclasses set `settings_model` and define `send`."""

    settings_model: ClassVar[type[NotifierSettings]]
    """The model of the notifier's table in brain.toml."""
    per_minute: ClassVar[int | None] = None
    """Most messages a minute that the service takes; None when it names no limit. More are sent later."""

    def __init__(self, settings: S, sender: Sender, clock: Callable[[], float] = time.time) -> None:
        """`sender` makes HTTP requests with retries; `clock` gives Unix seconds."""
        self._settings = settings
        self._sender = sender
        self._clock = clock

    @abstractmethod
    async def send(self, page: Page) -> Mapping[str, Any]:
        """Send the page, cut to what the service can show, and return the service's answer as JSON values.

        A page may be sent twice: pass `page.id` or `page.dedup_key` on, when the service can tell. Raises Refused when
        the service will never accept the page. Any other error means that the page is sent again later; TryLater
        pauses the whole notifier.
        """

    @classmethod
    def check(cls, settings: S) -> None:
        """Raise InvalidInput for settings that the service would not accept, as far as that shows without asking."""


NOTIFIERS: Registry[Notifier[Any]] = Registry("brain.notifiers", Notifier, "notifier")
"""The installed notifiers by kind."""


def read_notifier(table: object) -> NotifierSettings:
    """The settings in a notifier's table, checked by the model of its kind.

    Raises ValidationError that names each faulty field, and the known kinds for an unknown one.
    """
    if isinstance(table, NotifierSettings):
        return table
    if not isinstance(table, Mapping):
        raise _faulty([((), "must be a table with a kind")])
    kind = table.get("kind")
    if not isinstance(kind, str):
        raise _faulty([(("kind",), f"is missing; set it to one of {', '.join(NOTIFIERS.kinds())}")])
    try:
        model = NOTIFIERS.find(kind).settings_model
    except InvalidInput as error:
        raise _faulty([(("kind",), str(error))]) from error
    try:
        return model.model_validate(table)
    except ValidationError as error:
        raise _faulty([(fault["loc"], _words(fault, model)) for fault in error.errors(include_url=False)]) from None


AnyNotifier = Annotated[SerializeAsAny[NotifierSettings], BeforeValidator(read_notifier)]
"""The type of a settings field that holds one notifier of any kind."""


def open_notifier(settings: NotifierSettings, sender: Sender, clock: Callable[[], float]) -> Notifier[Any]:
    """The notifier with these settings. Raises InvalidInput when its kind is not installed."""
    return NOTIFIERS.find(settings.kind)(settings, sender, clock)


def _words(fault: Any, model: type[BaseModel]) -> str:
    if fault["type"] == "extra_forbidden":
        return f"no such setting; {remedy(str(fault['loc'][-1]), model.model_fields)}"
    return fault_words(fault)


def _faulty(faults: list[tuple[tuple[int | str, ...], str]]) -> ValidationError:
    details = [
        InitErrorDetails(type=PydanticCustomError("notifier", "{message}", {"message": message}), loc=place, input=None)
        for place, message in faults
    ]
    return ValidationError.from_exception_data("notifier", details, hide_input=True)
