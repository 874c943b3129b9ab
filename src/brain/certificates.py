"""Why a server's TLS certificate is not trusted, in words; also where only Python's strictness is new."""

from __future__ import annotations

import ssl

_STRICT = (
    "Missing Authority Key Identifier",
    "Missing Subject Key Identifier",
    "CA cert does not include key usage extension",
    "Basic Constraints of CA cert not marked critical",
)
"""What OpenSSL says of certificates that break RFC 5280, section 4.2.1, where it checks by X509_V_FLAG_X509_STRICT."""


def strictness(text: str) -> str:
    """A remedy, after a comma, for a refusal that is Python 3.13's; "" for any other refusal.

    Since 3.13 `ssl.create_default_context` sets VERIFY_X509_STRICT: what 3.12 accepted is refused
    (https://docs.python.org/3/whatsnew/3.13.html#ssl).
    """
    if not any(fault in text for fault in _STRICT):
        return ""
    return (
        ", which Python 3.13 and newer demand and older ones did not: make new certificates for the authority and the "
        "server, with subjectKeyIdentifier, authorityKeyIdentifier "
        "and, for the authority, keyUsage=critical,keyCertSign"
    )


def certificate_fault(error: BaseException) -> str | None:
    """Why the certificate was not trusted, for an error that a refused one caused; None for any other error."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, ssl.SSLCertVerificationError):
        found = found.__cause__ or found.__context__
    if found is None:
        return None
    said = found.verify_message.rstrip(".")
    return f"its certificate is not trusted: {said}{strictness(said)}"
