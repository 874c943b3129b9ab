"""The inbound connectors of the settings, ready to use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from brain.errors import InvalidInput
from brain.links.catalogue import check_type
from brain.links.kinds import SINGER, WEBHOOKS, WebhookKind
from brain.links.mapping import FieldMapping, parse_mapping
from brain.links.settings import ConnectorSettings, InboundSettings
from brain.links.signatures import SCHEMES, Signed


@dataclass(frozen=True, slots=True)
class Inbound:
    """One inbound connector: its settings and its mapping."""

    name: str
    settings: InboundSettings
    mapping: FieldMapping

    @property
    def kind(self) -> WebhookKind:
        """What sends to it. Raises InvalidInput for a tap, which sends nothing."""
        if self.settings.kind == SINGER:
            raise InvalidInput(
                f"connector {self.name}: is a Singer tap; read it by: brain connectors singer {self.name}"
            )
        return WEBHOOKS[self.settings.kind]

    def check(self, headers: Mapping[str, str], body: bytes, now: float) -> None:
        """Check the signature of a delivery, over the bytes as they came. Raises BadSignature."""
        scheme = self.settings.scheme or self.kind.scheme
        SCHEMES[scheme](Signed(self.settings.secrets, headers, body, now, self.settings.tolerance))


def inbound_connectors(settings: ConnectorSettings) -> dict[str, Inbound]:
    """All of them by name. Raises InvalidInput for a mapping to a type of this package's own."""
    found = {}
    for name, table in settings.inbound.items():
        mapping = parse_mapping(table.kind, table.mapping.model_dump(exclude_none=True))
        try:
            check_type(mapping.type)
        except InvalidInput as error:
            raise InvalidInput(f"connectors.inbound.{name}.mapping: {error}") from error
        found[name] = Inbound(name, table, mapping)
    return found
