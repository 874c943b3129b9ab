"""Request and answer bodies of `/api/access`."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from brain import limits
from brain.access.models import Role

Owner = Annotated[
    str | None,
    Field(
        min_length=1,
        max_length=200,
        description="The person whose key it is, as log-ins name that one; approvals count by persons",
        examples=["ada@example.org"],
    ),
]


class NewKeyBody(BaseModel):
    """A key to be made."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "ci", "role": "viewer"}]}
    )

    name: str = Field(max_length=64, description="Its name; events show it", examples=["ci"])
    role: Role = Field(description="What it may do", examples=["viewer"])
    kind: Literal["person", "agent", "service"] | None = Field(
        default=None, description="Whose it is", examples=["service"]
    )
    agents: list[Annotated[str, Field(min_length=1, max_length=limits.TEXT)]] = Field(
        default_factory=list, max_length=1000, description="The agents that an evaluator may ask for", examples=[[]]
    )
    lifetime: float | None = Field(
        default=None,
        gt=0,
        le=100 * 365 * 86_400,
        allow_inf_nan=False,
        description="Seconds until it expires",
        examples=[86400.0],
    )
    owner: Owner = None


class RotateBody(BaseModel):
    """How a key is replaced."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"overlap": 3600.0}]}
    )

    overlap: float = Field(
        default=3600.0, ge=0, le=30 * 86_400, description="Seconds that the former key still counts", examples=[3600.0]
    )
    owner: Owner = None


class KeyView(BaseModel):
    """A key, without the key itself. Times are Unix seconds."""

    name: str
    kind: str
    role: Role
    begins: str = Field(description="Its first 8 letters")
    agents: list[str]
    created_at: float
    created_by: str | None
    owner: str | None = Field(default=None, description="The person whose key it is")
    expires_at: float | None
    revoked_at: float | None
    last_used_at: float | None = Field(default=None, description="About when it was last used, to the minute")


class NewKeyView(KeyView):
    """A key that was just made."""

    key: str = Field(description="The key itself; it is shown this once")


class PrincipalView(BaseModel):
    """Who the server takes the sender of a request for."""

    kind: str
    name: str
    how: str = Field(description="What proves it: key, session, none")
    address: str | None
    role: str | None = Field(description="Its role; null on a server without keys, where all may do all")
    owner: str | None = Field(default=None, description="The person whose key it is")


class NewAgentBody(BaseModel):
    """An agent to be registered."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"agent_id": "a1", "public_key": "JrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs="}]
        },
    )

    agent_id: str = Field(max_length=200, description="The id in its contexts", examples=["a1"])
    public_key: str | None = Field(
        default=None,
        max_length=1000,
        description="Its Ed25519 public key: PEM, or the 32 bytes in base64",
        examples=["JrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs="],
    )
    issuer: str | None = Field(
        default=None, max_length=200, description="Instead of a key: whose tokens prove it, as in [[access.issuers]]"
    )
    subject: str | None = Field(default=None, max_length=200, description="What those tokens call it: their sub")

    @model_validator(mode="after")
    def _one_way(self) -> NewAgentBody:
        if (self.public_key is None) == (self.issuer is None) or (self.issuer is None) != (self.subject is None):
            raise ValueError("public_key: give it, or issuer and subject")
        return self


class AgentKeyView(BaseModel):
    """A registered agent. Times are Unix seconds."""

    agent_id: str
    keyid: str = Field(description="What its signatures name the key by: the JWK thumbprint (RFC 7638)")
    issuer: str = Field(description="Whose tokens prove it; empty for an agent with a key")
    subject: str = Field(description="What those tokens call it")
    registered_at: float
    registered_by: str | None
    retired_at: float | None
    last_used_at: float | None = Field(default=None, description="About when it last proved itself, to the minute")


class AgentSessionView(BaseModel):
    """A session that was just given."""

    agent_id: str
    session: str = Field(description="Send it as `Authorization: Bearer ...`; it counts for this agent and address")
    expires_at: float = Field(description="When it ends, in Unix seconds")


class SessionView(BaseModel):
    """A session of a person. Times are Unix seconds."""

    name: str
    subject: str = Field(description="Whom the provider means: the claim sub")
    role: str
    begun_at: float
    seen_at: float = Field(description="When it was last seen, to the minute")
    ends_at: float


class EndedView(BaseModel):
    """What was ended."""

    ended: int = Field(description="How many sessions there were")
