"""The table `[access]`."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, field_validator


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

    @field_validator("urls")
    @classmethod
    def _are_bases(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            if not url.startswith(("http://", "https://")) or url.count("/") != 2:
                raise ValueError(f"{url!r} is not a scheme and host, such as https://brain.example.org")
        return urls
