"""The table `[access]`."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, field_validator


def _rate(default: float, description: str) -> Any:
    return Field(default=default, gt=0, le=1e9, allow_inf_nan=False, description=description)


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

    decisions_rate: float = _rate(10_000.0, "Decisions a second that one sender may ask for; ten times that at once")
    reads_rate: float = _rate(500.0, "Reads a second that one sender may ask for; ten times that at once")
    changes_rate: float = _rate(500.0, "All other requests a second of one sender; ten times that at once")
    refusals_rate: float = _rate(
        20.0, "Refused requests a second of one address; a hundred times that at once, then 429 and no more events"
    )
    followers: int = Field(default=100, ge=1, description="Most clients of one sender that may follow events/live")
    header_seconds: float = Field(
        default=10.0, gt=0, le=3600, description="Seconds until a connection must have sent the head of a request"
    )

    @field_validator("urls")
    @classmethod
    def _are_bases(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            if not url.startswith(("http://", "https://")) or url.count("/") != 2:
                raise ValueError(f"{url!r} is not a scheme and host, such as https://brain.example.org")
        return urls
