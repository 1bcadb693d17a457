"""Syslog messages, judged by the grammar of RFC 5424."""

import re

from hypothesis import given
from hypothesis import strategies as st

from nvr.wire.syslog import framed, message

GRAMMAR = re.compile(
    rb"<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) ([!-~]{1,255}) nvr - ([!-~]{1,32}) "
    rb'(-|\[nvr@32473(?: [!#-<>-\\^-~]{1,32}="(?:[^"\\\]]|\\["\\\]])*")*\])'
    rb"(?: \xef\xbb\xbf([^\n\r]*))?",
    re.DOTALL,
)


def test_a_message_is_as_the_standard_has_it():
    made = message("warning", 1_800_000_000_123_456, "box 1", "camera", {"camera": 'a"]\\'}, "大门")
    assert made == (
        b"<132>1 2027-01-15T08:00:00.123456Z box_1 nvr - camera "
        b'[nvr@32473 camera="a\\"\\]\\\\"] \xef\xbb\xbf' + "大门".encode()
    )
    assert framed(b"<132>1") == b"6 <132>1"


@given(st.text(max_size=300), st.text(max_size=300), st.text(max_size=3000), st.integers(200, 4096))
def test_whatever_is_said_it_is_one_message_and_no_longer_than_it_may_be(host, value, text, most):
    made = message("notice", 1, host, "box", {"detail": value}, text, most_bytes=most)
    assert len(made) <= most
    found = GRAMMAR.fullmatch(made)
    assert found is not None, made
    made.partition(b"\xef\xbb\xbf")[2].decode()
