"""The table `[access]`."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from brain.access.models import Role
from brain.access.spiffe import SPIFFE, lowered, trust_domain
from brain.connectors.urls import sends_in_the_clear
from brain.secret import Secret

Algorithm = Literal["RS256", "PS256", "ES256", "ES384", "Ed25519"]
ALGORITHMS: tuple[Algorithm, ...] = ("RS256", "PS256", "ES256", "ES384", "Ed25519")


def _rate(default: float, description: str) -> Any:
    return Field(default=default, gt=0, le=1e9, allow_inf_nan=False, description=description)


class OidcSettings(BaseModel):
    """People who log in by a provider of OpenID Connect."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    issuer: str = Field(default="", description="The provider's issuer URL; empty: there is none")
    client_id: str = Field(default="", description="This server's id at the provider")
    client_secret: Secret | None = Field(default=None, description="Its secret; none for a public client")
    scopes: tuple[str, ...] = Field(
        default=("openid", "profile", "email", "groups"), description="What the provider is asked for"
    )
    name_claim: str = Field(default="email", description="The claim that a person is named by")
    groups_claim: str = Field(default="groups", description="The claim that lists a person's groups")
    roles: dict[str, Role] = Field(default_factory=dict, description="The role of each group, the first that fits")
    default_role: Role | None = Field(
        default=None, description="The role of those without such a group; none: no way in"
    )
    idle_minutes: float = Field(default=60.0, ge=2, description="Minutes after which an unused session ends")
    session_hours: float = Field(default=12.0, gt=0, description="Hours after which every session ends")

    @model_validator(mode="after")
    def _is_whole(self) -> OidcSettings:
        if self.issuer and not self.client_id:
            raise ValueError("client_id: is missing; the provider gives it when this server is registered there")
        if self.issuer and not self.issuer.startswith("https://") and sends_in_the_clear(self.issuer):
            raise ValueError("issuer: must be an https:// URL; plain http is for this machine alone")
        return self


class IssuerSettings(BaseModel):
    """An issuer of tokens (JWT) by which services and agents prove who they are."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    issuer: str = Field(
        description="Its issuer URL, or spiffe:// and a trust domain", examples=["spiffe://example.org"]
    )
    audience: tuple[str, ...] = Field(min_length=1, max_length=10, description="Tokens must be for one of these")
    jwks: str = Field(default="", description="URL or file of its keys; empty: where its metadata says")
    algorithms: tuple[Algorithm, ...] = Field(default=ALGORITHMS, min_length=1, description="How it may sign")
    roles_claim: str = Field(default="roles", description="The claim that lists a service's roles or groups")
    roles: dict[str, Role] = Field(default_factory=dict, description="The role of each, the first that fits")
    default_role: Role | None = Field(
        default=None, description="The role of those without; none: only registered agents are let in"
    )
    dpop: Literal["allowed", "required"] = Field(
        default="allowed", description="required: only tokens bound to a key (cnf.jkt), with a proof of it (DPoP)"
    )
    once: bool = Field(default=False, description="Whether each token, by its jti, counts for one request alone")

    @field_validator("issuer")
    @classmethod
    def _is_compared(cls, issuer: str) -> str:
        return lowered(issuer)

    @property
    def trust_domain(self) -> str | None:
        """The trust domain of a SPIFFE issuer, in lower case; None for another."""
        return self.issuer[len(SPIFFE) :] if self.issuer.startswith(SPIFFE) else None

    @model_validator(mode="after")
    def _is_whole(self) -> IssuerSettings:
        domain = self.trust_domain
        if domain is not None and (not domain or "/" in domain):
            raise ValueError(
                f"issuer: {self.issuer!r} must be spiffe:// and a trust domain, such as spiffe://example.org"
            )
        if domain is not None and not self.jwks:
            raise ValueError("jwks: is missing; name the URL or the file of the trust domain's keys")
        for url in (self.issuer, self.jwks):
            if url.startswith("http://") and sends_in_the_clear(url):
                raise ValueError(f"{url!r} must be an https:// URL; plain http is for this machine alone")
        if domain is None and not self.issuer.startswith(("http://", "https://")):
            raise ValueError(f"issuer: {self.issuer!r} must be a URL, as its tokens name it in iss")
        if Role.EVALUATOR in (self.default_role, *self.roles.values()):
            raise ValueError(
                "roles: evaluators are agents; register each: brain agents register AGENT --issuer --subject"
            )
        return self


class TrustDomainSettings(BaseModel):
    """A trust domain of SPIFFE whose workloads prove themselves by client certificates (X.509-SVID)."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    trust_domain: str = Field(description="Its name", examples=["example.org"])
    bundle: str = Field(min_length=1, description="PEM file of its authorities; read again when it changes")

    @field_validator("trust_domain")
    @classmethod
    def _is_name(cls, name: str) -> str:
        bare = lowered(f"{SPIFFE}{name.removeprefix(SPIFFE)}")[len(SPIFFE) :]
        if trust_domain(f"{SPIFFE}{bare}/x") != bare:
            raise ValueError(f"{name[:100]!r} is no name of a trust domain, such as example.org")
        return bare


class AccessSettings(BaseModel):
    """Who may do what on the server."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    rules: str = Field(default="", description="Policy file that says what each role may do, instead of ours")
    refuse_asserted: bool = Field(
        default=False, description="Whether decisions for a registered agent are made only for what it has proven"
    )
    urls: tuple[str, ...] = Field(
        default=(), max_length=4, description="Public URLs of the server, which signatures of agents name; else by Host"
    )

    issuers: tuple[IssuerSettings, ...] = Field(
        default=(), max_length=20, description="Whose tokens prove services and agents"
    )
    trust_domains: tuple[TrustDomainSettings, ...] = Field(
        default=(), max_length=20, description="Whose client certificates prove agents; the server needs a certificate"
    )
    oidc: OidcSettings = Field(default_factory=OidcSettings, description="People who log in by a provider")
    decisions_rate: float = _rate(
        25_000.0, "Requests for decisions a second that one sender may make; ten times that at once"
    )
    reads_rate: float = _rate(1_000.0, "Reads a second that one sender may ask for; ten times that at once")
    changes_rate: float = _rate(1_000.0, "All other requests a second of one sender; ten times that at once")
    refusals_rate: float = _rate(
        20.0, "Refused requests a second of one address; a hundred times that at once, then 429 and no more events"
    )
    followers: int = Field(default=100, ge=1, description="Most clients of one sender that may follow events/live")
    header_seconds: float = Field(
        default=10.0, gt=0, le=3600, description="Seconds until a connection must have sent the head of a request"
    )

    @field_validator("issuers")
    @classmethod
    def _are_different(cls, issuers: tuple[IssuerSettings, ...]) -> tuple[IssuerSettings, ...]:
        if len({one.issuer for one in issuers}) < len(issuers):
            raise ValueError("one issuer is given twice; give it once, with all its audiences")
        return issuers

    @field_validator("trust_domains")
    @classmethod
    def _are_different_domains(cls, domains: tuple[TrustDomainSettings, ...]) -> tuple[TrustDomainSettings, ...]:
        if len({one.trust_domain for one in domains}) < len(domains):
            raise ValueError("one trust domain is given twice; put all its authorities into one file")
        return domains

    @field_validator("urls")
    @classmethod
    def _are_bases(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            if not url.startswith(("http://", "https://")) or url.count("/") != 2:
                raise ValueError(f"{url!r} is not a scheme and host, such as https://brain.example.org")
        return urls
