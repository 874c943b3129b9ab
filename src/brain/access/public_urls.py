"""The server's public URLs for other plug-ins: they find them as PublicUrls."""

from __future__ import annotations

from collections.abc import Sequence

from brain.access.settings import AccessSettings
from brain.kit.protocols import PublicUrls
from brain.plugins import PluginContext


class SettingsUrls:
    """Those of `urls` in `[access]`."""

    def __init__(self, settings: AccessSettings) -> None:
        self._settings = settings

    def urls(self) -> Sequence[str]:
        """The public URLs, without paths."""
        return self._settings.urls


def public_urls(context: PluginContext) -> PublicUrls:
    """The URLs of this process's settings."""
    return SettingsUrls(context.table(AccessSettings))
