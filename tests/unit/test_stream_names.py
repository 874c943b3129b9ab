"""Names that were public once work for one release, and say what to use."""

from __future__ import annotations

import pytest

import brain
import brain.stream


def test_the_old_name_of_the_delivery_options() -> None:
    for module in (brain, brain.stream):
        with pytest.warns(DeprecationWarning, match=r"Delivering is now brain\.(stream\.)?DeliveryOptions"):
            assert module.Delivering is brain.DeliveryOptions
    assert "Delivering" not in brain.__all__


def test_other_names_are_not_there() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Deliverable'"):
        assert brain.stream.Deliverable
