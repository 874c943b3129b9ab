"""Where the server of these settings is, for commands that ask it."""

from __future__ import annotations

import ssl

from brain.errors import InvalidInput
from brain.settings import CoreSettings


def own_url(settings: CoreSettings) -> str:
    """The URL of the server of these settings, on this machine."""
    return local_url("https" if settings.tls_certificate else "http", settings.host, settings.port)


def local_url(scheme: str, host: str, port: int) -> str:
    """The URL, on this machine, of what listens at this name or address; at all addresses it is the loopback one."""
    name = host.strip("[]")
    if name in ("0.0.0.0", "::"):
        name = "127.0.0.1"
    return f"{scheme}://[{name}]:{port}" if ":" in name else f"{scheme}://{name}:{port}"


def trust(settings: CoreSettings) -> ssl.SSLContext | bool:
    """For `verify=` of a client: trusts the very certificate in the settings, whatever name it is for; else True.

    Raises InvalidInput when the file cannot be read or holds no certificate.
    """
    if not settings.tls_certificate:
        return True
    try:
        context = ssl.create_default_context(cafile=settings.tls_certificate)
    except ssl.SSLError:
        fault = "holds no certificate; name a PEM file that does"
        raise InvalidInput(f"tls_certificate: {settings.tls_certificate} {fault}") from None
    except OSError as error:
        fault = f"cannot be read: {error.strerror}; name a PEM file that this user may read"
        raise InvalidInput(f"tls_certificate: {settings.tls_certificate} {fault}") from None
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.check_hostname = False
    return context
