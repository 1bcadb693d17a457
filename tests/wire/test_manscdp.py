"""MANSCDP bodies: every encoding that platforms send, and an end to everything."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvr.wire.manscdp import Body, build, list_of, local_time, parse, time_us
from nvr.wire.soap import leaf, tag
from nvr.wire.xml import Malformed

DEVICE = "34020000001180000001"
QUERY = "<Query><CmdType>Catalog</CmdType><SN>17</SN><DeviceID>%s</DeviceID><N>%s</N></Query>"


@pytest.mark.parametrize("encoding", ["gb2312", "gb18030", "utf-8"])
@pytest.mark.parametrize("declared", ["", "GB2312", "GB18030", "UTF-8", "x-unknown"])
def test_a_name_in_chinese_is_read_whatever_was_declared(declared: str, encoding: str) -> None:
    if encoding == "utf-8" and declared != "UTF-8":
        return  # bytes of one that are also valid in the other cannot be told apart
    head = f'<?xml version="1.0" encoding="{declared}"?>\r\n' if declared else ""
    found = parse((head + QUERY % (DEVICE, "东门")).encode(encoding))
    assert (found.kind, found.command, found.number, found.device) == (
        "Query", "Catalog", "17", DEVICE,
    )  # fmt: skip
    assert found.said("N") == "东门"


def test_utf8_that_nobody_declared_is_read_where_it_can_be_nothing_else() -> None:
    assert parse((QUERY % (DEVICE, "中")).encode()).said("N") == "中"


def test_what_is_written_is_read() -> None:
    body = build(
        "Response", "Catalog", 4, DEVICE, leaf("SumNum", 1),
        list_of("DeviceList", [tag("Item", leaf("Name", "𠮷<&>"))]), edition="2016",
    )  # fmt: skip
    assert body.startswith(b'<?xml version="1.0" encoding="GB2312"?>')
    found = parse(body)
    assert found.number == "4"
    assert found.root.said("DeviceList", "Name") == "𠮷<&>"


def test_only_what_stands_right_below_counts() -> None:
    body = QUERY.replace("<DeviceID>%s</DeviceID>", "<A><DeviceID>1</DeviceID></A>")
    with pytest.raises(Malformed):
        parse((body % "").encode())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<Query/>",
        b"<Nothing><CmdType>A</CmdType><SN>1</SN><DeviceID>1</DeviceID></Nothing>",
        b"<Query><CmdType>A</CmdType><SN>x</SN><DeviceID>1</DeviceID></Query>",
        b"<Query><CmdType></CmdType><SN>1</SN><DeviceID>1</DeviceID></Query>",
        b"<Query><CmdType>A</CmdType><SN>1</SN><DeviceID>../1</DeviceID></Query>",
        b"\xff\xff<Query>",
        b'<!DOCTYPE a [<!ENTITY b "c">]><Query><CmdType>A</CmdType></Query>',
        b"<Query>" * 100,
        b"<Query>" + b" " * 300_000,
    ],
)
def test_this_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse(data)


@given(st.binary(max_size=200))
def test_nothing_raises_anything_else(data: bytes) -> None:
    whole = (QUERY % (DEVICE, "x")).encode()
    for one in (data, whole[: len(data)] + data, data + whole):
        try:
            assert isinstance(parse(one), Body)
        except Malformed:
            continue


def test_times_are_those_of_beijing() -> None:
    at_us = 1_796_036_400_000_000
    assert local_time(at_us) == "2026-11-30T19:00:00"
    assert time_us("2026-11-30T19:00:00") == at_us
    assert time_us("2026-11-30T19:00:00.250") == at_us + 250_000
    assert time_us("2026-11-30T11:00:00Z") == at_us
    assert time_us("Mon, 30 Nov 2026 11:00:00 GMT") == at_us


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01T00:00:00", "2026-01-01", "9" * 99])
def test_no_time_is_none(text: str) -> None:
    assert time_us(text) is None


@given(st.text(max_size=40), st.integers(-(1 << 70), 1 << 70))
def test_no_time_raises(text: str, at_us: int) -> None:
    time_us(text)
    local_time(at_us)
