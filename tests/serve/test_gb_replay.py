"""Recordings to platforms of GB/T 28181: played, steered and downloaded, from a real volume."""

import asyncio
import contextlib
import itertools

import pytest

from nvr.base.clock import SystemClock
from nvr.media.fragment import pieces, samples
from nvr.playback.query import Archive
from nvr.serve.gb28181.media import Limits, MediaDesk
from nvr.serve.gb28181.ports import Refused
from tests.export.made import GATE, W, recorded
from tests.media.test_ingest import until
from tests.ports import free_port
from tests.serve.platform import WAYS, Platform

HERE = "127.0.0.1"
W_S = W // 1_000_000
LONG_S = 10
FRAME = 3_600


def yes(span):
    return True


def nothing(name, sub):
    return None


def size_of(stream, from_us, to_us):
    return 123_456


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    store = recorded(tmp_path_factory.mktemp("ring"), parts=3 * LONG_S)
    yield Archive(store)
    store.disk.close()


def kept(archive, from_us=W, to_us=W + LONG_S * 1_000_000):
    """Pictures as the archive has them: NAL units behind start codes."""
    found, t_us, place = [], from_us, None
    while (gop := archive.gop(GATE, t_us, place)) is not None and gop.from_us < to_us:
        config = archive.config(GATE, gop.run)
        for piece in pieces(gop.data):
            every = samples(piece, config)
            found += [one.data for one in every if config[one.track].kind == "video"]
        t_us, place = gop.next_us or 0, gop.following
        if place is None:
            break
    return found


def bare(unit):
    """An access unit without parameter sets, as MP4 has it."""
    nals = [nal for nal in unit.split(b"\0\0\0\1")[1:] if nal[0] & 31 not in {7, 8}]
    return b"".join(len(nal).to_bytes(4, "big") + nal for nal in nals)


@contextlib.asynccontextmanager
async def called(
    archive, kind="Playback", way="passive", allowed=yes, *, span=(0, LONG_S), more=""
):
    first = free_port()
    limits = Limits(first, first + 21)
    media = MediaDesk(nothing, archive, SystemClock(), limits, size_of=size_of)
    platform = Platform(way)
    await platform.listen()
    offer = platform.offer(kind, W_S + span[0], W_S + span[1], more)
    try:
        session = await media.open("gate", False, offer, HERE, HERE, allowed)
    except Refused:
        platform.hang_up()
        raise
    platform.ends = []
    session.on_end = platform.ends.append
    platform.answer = session.answer()
    session.start()
    await platform.answered(platform.answer)
    try:
        yield platform, session
    finally:
        session.close()
        platform.hang_up()
        assert media.sessions == 0


def info(session, method="PLAY", **headers):
    lines = [f"{method} RTSP/1.0", "CSeq: 5", *(f"{k.title()}: {v}" for k, v in headers.items())]
    answer = session.control("\r\n".join([*lines, "", ""]))
    assert "CSeq: 5" in answer
    return answer.split()[1]


@pytest.mark.parametrize("way", WAYS)
async def test_a_download_is_what_was_recorded(archive, way):
    async with called(archive, "Download", way, more="a=downloadspeed:8\r\n") as (platform, _):
        began = asyncio.get_running_loop().time()
        await until(lambda: platform.ends, 60)
        assert asyncio.get_running_loop().time() - began > LONG_S / 8 - 0.5
        assert platform.ends == ["end"]
        assert "a=filesize:123456\r\n" in platform.answer
        wanted = kept(archive)
        await until(lambda: len(platform.pictures()) == len(wanted), 60)
        found = platform.pictures()
    assert [bare(unit) for _, unit in found] == wanted
    assert len(wanted) == LONG_S * 25
    assert {b - a for (a, _), (b, _) in itertools.pairwise(found)} == {FRAME}
    assert len(platform.shown()) == len(wanted)
    sound = [pack for pack in platform.packs if pack.pes[0].stream_id == 0xC0]
    assert len(sound) > LONG_S * 16_000 // 1024 - 3


async def test_playback_takes_as_long_as_it_took(archive):
    async with called(archive, span=(2, 4)) as (platform, _):
        await until(lambda: platform.ends, 60)
        assert platform.ends == ["end"]
        await until(lambda: len(platform.pictures()) == 50, 60)
        took = platform.came_s[-1] - platform.came_s[0]
        assert 1.5 < took < 15
        assert [bare(unit) for _, unit in platform.pictures()] == kept(archive)[50:100]
        assert "filesize" not in platform.answer


async def test_a_pause_stops_and_play_goes_on_without_a_hole(archive):
    async with called(archive, "Playback", span=(0, 3)) as (platform, session):
        await until(lambda: len(platform.pictures()) >= 10, 60)
        assert info(session, "PAUSE", pausetime="now") == "200"
        await asyncio.sleep(0.3)
        before = len(platform.pictures())
        await asyncio.sleep(0.5)
        assert len(platform.pictures()) == before
        assert info(session, range="npt=now-") == "200"
        await until(lambda: platform.ends, 60)
        await until(lambda: len(platform.pictures()) == 75, 60)
        assert [bare(unit) for _, unit in platform.pictures()] == kept(archive)[:75]
        assert {b - a for a, b in itertools.pairwise(platform.shown())} == {FRAME}


async def test_a_change_of_speed_loses_no_picture(archive):
    async with called(archive, span=(0, 6)) as (platform, session):
        await until(lambda: len(platform.pictures()) >= 10, 60)
        assert info(session, scale="4.0") == "200"
        await until(lambda: platform.ends, 60)
        await until(lambda: len(platform.pictures()) == 150, 60)
        found = platform.pictures()
        assert [bare(unit) for _, unit in found] == kept(archive)[:150]
        steps = [b - a for (a, _), (b, _) in itertools.pairwise(found)]
        assert steps[:5] == [FRAME] * 5
        assert steps[-50:] == [FRAME // 4] * 50, "it is shown faster"
        assert all(FRAME // 4 <= step <= FRAME for step in steps)


async def test_a_seek_begins_at_the_key_frame_before(archive):
    async with called(archive) as (platform, session):
        await until(lambda: len(platform.pictures()) >= 5, 60)
        at = len(platform.pictures())
        assert info(session, range="npt=8.5-") == "200"
        await until(lambda: platform.ends, 60)
        rest = kept(archive)[200:]
        await until(lambda: bare(platform.pictures()[-1][1]) == rest[-1], 60)
        found = [bare(unit) for _, unit in platform.pictures()]
        assert found[-len(rest) :] == rest
        assert len(found) < at + len(rest) + 50
        times = platform.shown()
        assert all(a < b for a, b in itertools.pairwise(times)), "time goes on"


async def test_backwards_come_key_frames_in_turn(archive):
    keys = kept(archive)[::25]
    async with called(archive) as (platform, session):
        assert info(session, scale="-8", range="npt=7.5-") == "200"
        await until(lambda: platform.ends, 60)
        await until(lambda: len(platform.pictures()) >= 8, 60)
        found = [bare(unit) for _, unit in platform.pictures()]
        assert found[-8:] == keys[7::-1]
        assert len(platform.shown()) == len(found)
        times = [at for at, _ in platform.pictures()][-8:]
        assert all(10_000 <= b - a <= 12_500 for a, b in itertools.pairwise(times))


async def test_very_fast_come_key_frames_only(archive):
    async with called(archive) as (platform, session):
        assert info(session, scale="16", range="npt=0-") == "200"
        await until(lambda: platform.ends, 60)
        await until(lambda: len(platform.pictures()) >= LONG_S, 60)
        found = [bare(unit) for _, unit in platform.pictures()]
        assert found[-LONG_S:] == kept(archive)[::25]


async def test_each_group_is_asked_about_with_its_span(archive):
    asked = []

    def allowed(span):
        asked.append(span)
        return len(asked) == 1 or span[1] <= W + 3_000_000

    async with called(archive, "Download", allowed=allowed, more="a=downloadspeed:64\r\n") as (
        platform, _,
    ):  # fmt: skip
        await until(lambda: platform.ends, 60)
        assert platform.ends == ["denied"]
        await until(lambda: platform.lost, 60)
        assert asked[0] == (W, W + LONG_S * 1_000_000), "the whole, before anything is opened"
        assert [span[0] for span in asked[1:]] == [W, W + 1_000_000, W + 2_000_000, W + 3_000_000]
        assert len(platform.pictures()) == 75


async def test_what_cannot_be_steered_is_told(archive):
    async with called(archive) as (platform, session):
        await until(lambda: platform.packets, 60)
        assert info(session, scale="1000") == "451"
        assert info(session, range=f"npt={LONG_S}-") == "457"
        with pytest.raises(Refused):
            session.control("PLAY RTSP/1.0\r\nScale: 0\r\n")
        assert platform.ends == []
        assert info(session, "TEARDOWN") == "200"
        await until(lambda: platform.ends, 60)
        assert platform.ends == ["teardown"]


async def test_nothing_recorded_is_refused(archive):
    with pytest.raises(Refused) as refused:
        async with called(archive, span=(-3600, -3000)):
            pass
    assert refused.value.status == 480


async def test_a_platform_that_takes_nothing_holds_up_nothing_and_is_let_go(archive, monkeypatch):
    monkeypatch.setattr("nvr.serve.gb28181.program.STUCK_S", 0.5)
    monkeypatch.setattr("nvr.serve.gb28181.leg.SEND_BYTES", 4_096)
    async with called(archive, "Download", more="a=downloadspeed:64\r\n") as (platform, _):
        await until(lambda: platform.packets, 60)
        for end in platform._ends:
            if isinstance(end, asyncio.StreamWriter):
                end.transport.pause_reading()
        await until(lambda: platform.ends, 60)
        assert platform.ends == ["stuck"]
