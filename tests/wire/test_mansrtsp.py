"""MANSRTSP as platforms write it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvr.wire.mansrtsp import Command, Malformed, parse, respond


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "PLAY RTSP/1.0\r\nCSeq: 2\r\nRange: npt=100-\r\n\r\n",
            Command("PLAY", "2", at_s=100.0),
        ),
        ("PLAY MANSRTSP/1.0\r\nCSeq: 3\r\nScale: 0.25\r\n\r\n", Command("PLAY", "3", 0.25)),
        ("PLAY RTSP/1.0\nCSeq:3\nScale: -2.0\nRange: npt=now-\n", Command("PLAY", "3", -2.0)),
        ("PAUSE RTSP/1.0\r\nCSeq: 1\r\nPauseTime: now\r\n", Command("PAUSE", "1")),
        ("TEARDOWN RTSP/1.0\r\n", Command("TEARDOWN")),
        ("play rtsp/1.0\r\nrange: npt=1.5-9\r\n", Command("PLAY", at_s=1.5)),
        ("PLAY RTSP/1.0\r\nRange: smpte=0-\r\n", Command("PLAY", at_s=0.0)),
    ],
)
def test_commands_are_read(text: str, wanted: Command) -> None:
    assert parse(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "",
        "DESCRIBE RTSP/1.0\r\n",
        "PLAY HTTP/1.1\r\n",
        "PLAY RTSP/1.0\r\nScale: fast\r\n",
        "PLAY RTSP/1.0\r\nScale: 0\r\n",
        "PLAY RTSP/1.0\r\nScale: 1e309\r\n",
        "PLAY RTSP/1.0\r\nScale: nan\r\n",
        "PLAY RTSP/1.0\r\nRange: clock=20260101T000000Z-\r\n",
        "PLAY RTSP/1.0\r\nRange: npt=-5\r\n " + "x" * 4096,
    ],
)
def test_what_is_none_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        parse(text)


def test_answers_say_the_number_and_where_it_plays() -> None:
    command = Command("PLAY", "7", 2.0)
    assert respond(command, at_s=10.0) == "RTSP/1.0 200 OK\r\nCSeq: 7\r\nRange: npt=10.000-\r\n\r\n"
    assert respond(command, scale=-1.0) == "RTSP/1.0 200 OK\r\nCSeq: 7\r\nScale: -1\r\n\r\n"
    assert respond(None, 400) == "RTSP/1.0 400 Bad Request\r\n\r\n"


@given(st.text(max_size=200), st.sampled_from(["", "PLAY RTSP/1.0\r\n", "PLAY RTSP/1.0\r\nScale:"]))
@settings(deadline=None)
def test_anything_is_a_command_or_malformed(text: str, before: str) -> None:
    try:
        command = parse(before + text)
    except Malformed:
        return
    assert command.scale is None or abs(command.scale) < 10_000
    assert command.at_s is None or 0 <= command.at_s < 1e9
