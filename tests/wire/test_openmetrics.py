"""What we write, the reference parser reads as it was meant."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from nvr.wire.openmetrics import Family, encode

VALUES = st.floats(allow_nan=False) | st.integers(-(2**53), 2**53)


ABOUT = st.text().filter(lambda text: text == text.strip())
"""The reference parser drops blanks around what a family is about."""


@given(st.lists(st.tuples(st.text(), VALUES), min_size=1, unique_by=lambda one: one[0]), ABOUT)
def test_any_label_and_value_comes_back(samples: list[tuple[str, float]], about: str) -> None:
    family = Family("nvr_held_seconds", "gauge", about, "seconds")
    for label, value in samples:
        family.add(value, camera=label)
    (read,) = text_string_to_metric_families(encode([family]))
    assert (read.name, read.type, read.unit) == ("nvr_held_seconds", "gauge", "seconds")
    assert read.documentation == about
    assert [(s.labels["camera"], s.value) for s in read.samples] == samples


def test_each_kind_is_named_by_the_rules() -> None:
    counter = Family("nvr_received_bytes", "counter", "Bytes.", "bytes")
    counter.add(7, camera="gate")
    info = Family("nvr_build", "info", "What runs.")
    info.add(1, version="1.2")
    odd = Family("nvr_odd", "gauge", "Odd ones.")
    odd.add(math.nan)
    text = encode([counter, Family("nvr_none", "gauge", "Nothing."), info, odd])
    found = {family.name: family for family in text_string_to_metric_families(text)}
    assert set(found) == {"nvr_received_bytes", "nvr_build", "nvr_odd"}
    assert found["nvr_received_bytes"].samples[0].name == "nvr_received_bytes_total"
    assert found["nvr_build"].samples[0].name == "nvr_build_info"
    assert math.isnan(found["nvr_odd"].samples[0].value)
    assert text.endswith("# EOF\n")


@pytest.mark.parametrize(("name", "unit"), [("Nvr", ""), ("nvr_held", "seconds"), ("nvr-a", "")])
def test_a_name_against_the_rules_is_refused(name: str, unit: str) -> None:
    family = Family(name, "gauge", "", unit)
    family.add(1)
    with pytest.raises(ValueError, match="no name"):
        encode([family])
