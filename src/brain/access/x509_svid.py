"""What a client certificate proves: the SPIFFE id of a workload (X.509-SVID).

TLS has verified the chain up to some authority that the server knows. Here it is checked that this authority is one of
the id's own trust domain: that of another must not vouch for it. Source: X509-SVID.md of spiffe/spiffe.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from brain.access.settings import TrustDomainSettings
from brain.access.spiffe import SPIFFE, lowered, trust_domain
from brain.errors import InvalidInput

CERTIFICATE = "spiffe-x509"
"""How a principal is proven by a client certificate."""
_MOST = 1 << 20


class Peer(NamedTuple):
    """Whom the certificate of a connection proves, until that Unix time; or why it proves nobody."""

    id: str = ""
    trust_domain: str = ""
    until: float = 0.0
    authority: bytes = b""
    """The one that vouches for it, in DER."""
    fault: str | None = None


class Bundles:
    """The authorities of the trust domains in the settings, as their files have them."""

    def __init__(self, domains: Sequence[TrustDomainSettings]) -> None:
        """Raises InvalidInput for a file that cannot be read."""
        self._files = {one.trust_domain: Path(one.bundle) for one in domains}
        self._anchors: Mapping[str, frozenset[bytes]] = {}
        self.read()

    @property
    def files(self) -> Sequence[Path]:
        """Where they are kept."""
        return list(self._files.values())

    @property
    def anchors(self) -> bytes:
        """The certificates of all of them, in DER."""
        return b"".join(sorted(one for anchors in self._anchors.values() for one in anchors))

    def read(self) -> None:
        """Read the files again; all, or nothing. Blocks. Raises InvalidInput, naming the file."""
        self._anchors = {domain: _authorities(file) for domain, file in self._files.items()}

    def peer(self, chain: Sequence[bytes]) -> Peer:
        """What a chain proves that TLS has verified, in DER, from the client's certificate to its authority."""
        from cryptography import x509

        try:
            leaf = x509.load_der_x509_certificate(chain[0])
            id = _id_in(leaf)
        except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension) as error:
            return Peer(fault=f"the client's certificate is no X.509-SVID: {error}")
        domain = trust_domain(id)
        if domain is None:
            return Peer(fault=f"the client's certificate names {id[:80]!r}, which is no SPIFFE id of a workload")
        return self.now(Peer(id, domain, leaf.not_valid_after_utc.timestamp(), chain[-1]))

    def now(self, peer: Peer) -> Peer:
        """What it proves by the authorities as they are now; those of its domain may have changed."""
        if peer.fault is not None or peer.authority in self._anchors.get(peer.trust_domain, frozenset()):
            return peer
        fault = f"the client's certificate is by no authority of {SPIFFE}{peer.trust_domain} that the server knows"
        return peer._replace(fault=fault)


def _id_in(leaf: object) -> str:
    """The one URI of a workload's certificate. Raises ValueError, and what cryptography raises for a bad extension."""
    from cryptography import x509

    assert isinstance(leaf, x509.Certificate)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    found = names.get_values_for_type(x509.UniformResourceIdentifier)
    if len(found) != 1:
        raise ValueError(f"it names {len(found)} URIs, and must name one")
    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    if usage.key_cert_sign or usage.crl_sign or not usage.digital_signature:
        raise ValueError("its key usage is that of an authority, or does not sign")
    for extension in leaf.extensions:
        if isinstance(extension.value, x509.BasicConstraints) and extension.value.ca:
            raise ValueError("it is that of an authority")
    return lowered(found[0])


def _authorities(file: Path) -> frozenset[bytes]:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    try:
        with file.open("rb") as opened:
            found = x509.load_pem_x509_certificates(opened.read(_MOST))
    except OSError as error:
        raise InvalidInput(f"access.trust_domains: {file}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InvalidInput(f"access.trust_domains: {file}: holds no certificates as PEM") from error
    return frozenset(one.public_bytes(Encoding.DER) for one in found)
