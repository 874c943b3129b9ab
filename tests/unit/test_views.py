"""Views are made from what declares the shape: fields, descriptions, bounds, properties, and what is inside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta
from pydantic import ValidationError

from brain.charter import Severity
from brain.kit.views import list_of, view_of


@dataclass(frozen=True)
class Wheel:
    """A wheel."""

    spokes: Annotated[int, Meta(ge=1, le=40, description="How many.")]


class Bicycle(msgspec.Struct, tag_field="kind", tag="bicycle"):
    """A bicycle.

    This paragraph is for readers of the code.
    """

    wheels: Annotated[tuple[Wheel, ...], Meta(description="Front first.")]
    risk: Severity
    serial: str
    spare: Wheel | None = None
    note: Annotated[str | msgspec.UnsetType, Meta(description="Left out without one.")] = msgspec.UNSET

    @property
    def rideable(self) -> bool:
        """Whether it has two wheels."""
        return len(self.wheels) == 2


View = view_of(Bicycle, without=["serial"], properties=["rideable"], example={"kind": "bicycle"})


def schema() -> dict[str, Any]:
    return View.model_json_schema()


def test_the_schema_has_what_was_declared() -> None:
    fields = schema()["properties"]
    assert schema()["title"] == "BicycleView"
    assert schema()["description"] == "A bicycle."
    assert schema()["examples"] == [{"kind": "bicycle"}]
    assert list(fields) == ["kind", "wheels", "risk", "spare", "note", "rideable"]
    assert fields["wheels"]["description"] == "Front first."
    assert fields["wheels"]["items"] == {"$ref": "#/$defs/WheelView"}
    assert fields["risk"] == {"$ref": "#/$defs/Severity"}
    assert fields["kind"]["description"] == "Always bicycle."
    assert fields["rideable"] == {"title": "Rideable", "type": "boolean", "description": "Whether it has two wheels."}
    spokes = schema()["$defs"]["WheelView"]["properties"]["spokes"]
    assert (spokes["minimum"], spokes["maximum"]) == (1, 40)


def test_only_a_field_that_may_be_left_out_is_not_required() -> None:
    assert schema()["required"] == ["kind", "wheels", "risk", "spare", "rideable"]


def test_a_view_is_filled_from_the_object() -> None:
    @dataclass(frozen=True)
    class Trip:
        """A trip."""

        wheel: Wheel
        names: list[str]

    # `Trip` is local: its annotations are found because it names only what the module knows.
    made = view_of(Trip).model_validate(Trip(Wheel(3), ["a"]))
    assert made.model_dump() == {"wheel": {"spokes": 3}, "names": ["a"]}
    with pytest.raises(ValidationError):
        view_of(Trip).model_validate(Trip(Wheel(0), []))


def test_a_list_of_views_and_a_view_of_another_name() -> None:
    named = view_of(Wheel, "Disc")
    assert named.__name__ == "Disc"
    assert list_of(named) == list[named]  # type: ignore[valid-type]
    replaced = view_of(Bicycle, "Other", without=["serial"], views={Wheel: named})
    assert "Disc" in replaced.model_json_schema()["$defs"]
