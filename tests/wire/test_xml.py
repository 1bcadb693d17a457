"""XML from strangers has an end."""

import resource
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvr.wire.xml import Malformed, check, escape, parse

LAUGHS = b'<!DOCTYPE l [<!ENTITY a "ha">%s]><l>&z;</l>' % b"".join(
    b'<!ENTITY %c "%s">' % (97 + n, b"&%c;" % (96 + n) * 10) for n in range(1, 26)
)
REFUSED = {
    "laughs": LAUGHS,
    "outside": b'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><r>&x;</r>',
    "a type": b"<!DOCTYPE r><r/>",
    "in UTF-16": "<?xml version='1.0' encoding='utf-16'?><!DOCTYPE r><r/>".encode("utf-16"),
    "unknown entity": b"<r>&nobody;</r>",
    "deep": b"<a>" * 30_000 + b"</a>" * 30_000,
    "many": b"<r>" + b"<a/>" * 50_000 + b"</r>",
    "long": b"<r>" + b"a" * 300_000 + b"</r>",
    "encoding": b"<?xml version='1.0' encoding='x-none'?><r/>",
    "cut": b"<r><a>",
    "two": b"<a/><b/>",
    "nothing": b"",
    "binary": bytes(range(256)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_end_is_refused_quickly_and_in_little_memory(name: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started_s = time.process_time()
    for read in (parse, check):
        with pytest.raises(Malformed):
            read(REFUSED[name])
    assert time.process_time() - started_s < 0.5  # 10 ms on an idle machine
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8 * 1024


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        parse(data)
    except Malformed:
        with pytest.raises(Malformed):
            check(data)
    else:
        check(data)


NAMES = st.from_regex(r"[a-zA-Z][a-zA-Z0-9]{0,8}", fullmatch=True)


@given(NAMES, NAMES, st.text(max_size=40))
def test_text_comes_back_as_it_was_written(name: str, key: str, said: str) -> None:
    document = f'<{name} {key}="{escape(said)}"><x>{escape(said)}</x></{name}>'
    try:
        found = parse(document.encode())
    except (Malformed, UnicodeEncodeError):
        assert not said.isprintable()  # XML has no way to say some characters
        return
    if said.isprintable():
        assert (found.name, found.said("x"), found.attributes[key]) == (name, said.strip(), said)


def test_prefixes_that_nobody_declared_are_read_and_named() -> None:
    document = b'<s:E xmlns:s="urn:s"><tptz:R a:b="1"><tt:Name>x</tt:Name></tptz:R></s:E>'
    assert parse(document).said("R", "Name") == "x"
    assert check(document) == {"tptz", "tt", "a"}
