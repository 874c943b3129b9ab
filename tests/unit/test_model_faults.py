"""What pydantic finds at fault is said without its own terms, at every edge."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from brain.model_faults import model_faults


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid")

    number: int = 1
    share: float = Field(default=0.5, ge=0, le=1)
    name: str = Field(default="x", min_length=1, pattern="^[a-z]*$")
    kind: Literal["a", "b"] = "a"
    many: list[int] = Field(default=[], max_length=1)
    odd: int = 1
    needed: str

    @field_validator("odd")
    @classmethod
    def _is_odd(cls, given: int) -> int:
        if given % 2 == 0:
            raise ValueError("must be odd; Input should stay as it is here")
        return given


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"number": "x"}, "number: must be a valid integer"),
        ({"share": 2}, "share: must be less than or equal to 1"),
        ({"name": ""}, "name: must have at least 1 character"),
        ({"name": "A"}, "name: must match pattern '^[a-z]*$'"),
        ({"kind": "c"}, "kind: must be 'a' or 'b'"),
        ({"many": [1, 2]}, "many: must have at most 1 item after validation, not 2"),
        ({"many": ["x"]}, "many.0: must be a valid integer"),
        ({"odd": 2}, "odd: must be odd; Input should stay as it is here"),
        ({"nmae": "x"}, "nmae: is unknown"),
        ({"needed": None}, "needed: must be a valid string"),
    ],
)
def test_a_fault_is_said_in_our_words(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Model.model_validate({"needed": "x", **given})
    assert model_faults(caught.value) == [words]


def test_what_is_missing_and_the_whole_are_named() -> None:
    with pytest.raises(ValidationError) as caught:
        Model.model_validate({})
    assert model_faults(caught.value) == ["needed: is missing"]
    with pytest.raises(ValidationError) as caught:
        Model.model_validate([])
    assert model_faults(caught.value, "the mission") == ["the mission: must be an object of names and values"]
