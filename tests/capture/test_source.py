"""Our client against GStreamer's RTSP server, against liars, and against nobody."""

import asyncio
import dataclasses
import socket
import ssl
import time
from contextlib import asynccontextmanager, suppress

import pytest

from nvr.base.clock import FakeClock, SystemClock
from nvr.base.errors import Unavailable
from nvr.base.supervise import Backoff
from nvr.capture.rtsp import Account, Caller, nobody
from nvr.capture.source import Patience, Source
from nvr.wire.rtsp import Frame, Parser, Response
from tests.capture.ports import Stream
from tests.serve.source import Camera, serving
from tests.serve.test_rtsp_peers import SECRET, USER, access, certificate

__all__ = ["certificate"]

QUICK = Patience(
    frozen_s=0.8,
    silent_s=1.5,
    stuck_s=2.5,
    look_s=0.25,
    unreachable=Backoff(first_s=0.2, cap_s=0.4, jitter=0.5),
    refused=Backoff(first_s=5.0, cap_s=5.0),
)


@asynccontextmanager
async def gst_camera(kind, *options, port=0):
    process = await asyncio.create_subprocess_exec(
        "/usr/bin/python3", "tests/peers/gst_camera.py", kind, "--port", str(port), *options,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(20):
            line = await process.stdout.readline()
        yield int(line.split()[1])
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


class Watched:
    """A source that runs, and the states it went through."""

    def __init__(self, url, account=None, patience=QUICK, **options):
        self.stream = Stream()
        self.states = []
        self.news = asyncio.Event()
        self.caller = caller = Caller(url, lambda: account, SystemClock(), **options)
        self.source = Source(
            "gate",
            caller,
            self.stream,
            clock=SystemClock(),
            changed=self.changed,
            patience=patience,
        )

    def changed(self, state):
        self.states.append((state.state, state.code))
        self.news.set()

    async def __aenter__(self):
        self._task = asyncio.create_task(self.source.run())
        return self

    async def __aexit__(self, *_):
        assert not self._task.done() or self._task.cancelled(), "nothing a camera does ends it"
        await self.stop()
        assert all(run.closed for run in self.stream.runs)

    async def stop(self):
        self._task.cancel()
        done, _ = await asyncio.wait([self._task], timeout=5)
        assert done, "it went on although it was stopped"

    async def until(self, *wanted, timeout_s=10.0):
        async with asyncio.timeout(timeout_s):
            while not self.states or self.states[-1] != wanted:
                self.news.clear()
                await self.news.wait()


@pytest.mark.needs("gst-rtsp-server")
@pytest.mark.parametrize(
    ("kind", "codecs"),
    [
        ("h264-aac", ["h264", "aac"]),
        ("h265", ["h265"]),
    ],
)
async def test_what_gstreamer_s_server_offers_is_played(kind, codecs):
    async with gst_camera(kind) as port, Watched(f"rtsp://127.0.0.1:{port}/camera") as camera:
        await camera.until("live", "")
        [run] = camera.stream.runs
        assert [track.codec for track in run.tracks] == codecs
        assert run.tracks[0].parameter_sets
        if "aac" in codecs:
            assert run.tracks[1].config
        await asyncio.sleep(1.0)
        assert run.frames > 20
    assert b"TEARDOWN" not in run.sent or run.closed


@pytest.mark.needs("gst-rtsp-server")
async def test_a_gstreamer_camera_with_a_password():
    async with gst_camera("h264", "--user", "u", "--password", "p") as port:
        url = f"rtsp://127.0.0.1:{port}/camera"
        async with (
            Watched(url, Account("u", "p")) as right,
            Watched(url, Account("u", "q")) as wrong,
        ):
            await wrong.until("refused", "camera.refused")
            await right.until("live", "")
            await asyncio.sleep(1.0)
            assert len(wrong.states) == 1, "a refused account is not tried again at once"


@pytest.mark.needs("gst-rtsp-server")
async def test_a_camera_that_reboots_is_back_within_five_seconds():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    camera = Watched(f"rtsp://127.0.0.1:{port}/camera", patience=Patience())
    async with camera:
        async with gst_camera("h264", port=port):
            await camera.until("live", "")
        await camera.until("lost", "camera.lost")
        await asyncio.sleep(3)
        async with gst_camera("h264", port=port):
            began_s = asyncio.get_running_loop().time()
            await camera.until("live", "", timeout_s=15)
            assert asyncio.get_running_loop().time() - began_s < 6.0
    assert len(camera.stream.runs) == 2


@pytest.mark.needs("gst-rtsp-server")
async def test_a_codec_we_cannot_carry_is_said_and_the_sound_still_recorded():
    async with gst_camera("mpeg4") as port, Watched(f"rtsp://127.0.0.1:{port}/camera") as camera:
        await camera.until("unsupported", "camera.unsupported")
        assert "MP4V-ES" in camera.source.state.detail
        assert camera.stream.runs == []
    async with (
        gst_camera("mpeg4-pcma") as port,
        Watched(f"rtsp://127.0.0.1:{port}/camera") as camera,
    ):
        await camera.until("unsupported", "camera.unsupported")
        [run] = camera.stream.runs
        assert [track.codec for track in run.tracks] == ["pcma"]
        async with asyncio.timeout(10):
            while run.packets <= 5:
                await asyncio.sleep(0.05)


async def test_our_own_server_over_tls(certificate):
    async with serving({"gate": Camera()}, access(), certificate) as (_, port):
        url = f"rtsps://127.0.0.1:{port}/cam/gate"
        async with Watched(url, Account(USER, SECRET)) as camera:
            await camera.until("live", "")
            assert [track.codec for track in camera.stream.runs[0].tracks] == ["h264", "pcma"]
        async with Watched(url, Account(USER, "wrong")) as camera:
            await camera.until("refused", "camera.refused")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        async with Watched(url, Account(USER, SECRET), tls=context) as camera:
            await camera.until("lost", "camera.certificate")


async def test_a_camera_lost_in_the_moment_we_stop_does_not_hold_us():
    async with serving({"gate": Camera()}, access()) as (_, port):
        camera = Watched(f"rtsp://127.0.0.1:{port}/cam/gate", Account(USER, SECRET))
        async with camera:
            await camera.until("live", "")
            camera.stream.runs[0].fail(Unavailable("camera.lost", "closed"))
            await camera.stop()


async def test_nobody_there_is_lost_and_tried_again():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with Watched(f"rtsp://127.0.0.1:{port}/x") as camera:
        await camera.until("lost", "camera.unreachable")
        since_us = camera.source.state.since_us
        async with serving({"x": Camera()}, prefix="") as (_, _port):
            await asyncio.sleep(0.5)
        assert camera.source.state.since_us == since_us, "lost since the first failure"


async def test_an_address_outside_the_camera_networks_is_not_called():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        url = f"rtsp://localhost:{server.getsockname()[1]}/x"
        async with Watched(url, permit=lambda address, _port: address != "127.0.0.1") as camera:
            await camera.until("lost", "camera.forbidden")
        with pytest.raises(BlockingIOError):
            server.accept()


@asynccontextmanager
async def liar(talk, tls=None):
    tasks = set()

    def accepted(reader, writer):
        task = asyncio.create_task(talk(reader, writer))
        tasks.add(task)

    server = await asyncio.start_server(accepted, "127.0.0.1", 0, ssl=tls)
    try:
        yield f"rtsp://127.0.0.1:{server.sockets[0].getsockname()[1]}/camera"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


SDP = b"m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\n"


def plays(then, sdp=SDP):
    """A camera that plays and then does `then`."""

    async def talk(reader, writer):
        parser = Parser()
        try:
            while data := await reader.read(65536):
                parser.feed(data)
                while request := parser.next():
                    if isinstance(request, Frame):
                        continue
                    headers = [("CSeq", request.header("CSeq"))]
                    if request.method == "SETUP":
                        headers += [("Transport", request.header("Transport")), ("Session", "1")]
                    body = sdp if request.method == "DESCRIBE" else b""
                    writer.write(Response(200, tuple(headers), body).encode())
                    if request.method == "PLAY":
                        await then(writer)
        finally:
            writer.close()

    return talk


PICTURE = Frame(0, b"\x80\xe0" + bytes(10) + b"\x65picture").encode()


async def pictures(writer, count=10**9):
    for _ in range(count):
        writer.write(PICTURE)
        await asyncio.sleep(0.1)


async def test_garbage_instead_of_rtsp():
    async def talk(reader, writer):
        writer.write(b"\xff\xd8\xff\xe0 this is a picture")
        await reader.read()
        writer.close()

    async with liar(talk) as url, Watched(url) as camera:
        await camera.until("lost", "camera.garbage")


async def test_garbage_between_pictures():
    async def then(writer):
        await pictures(writer, 8)
        writer.write(b"\0\xff garbage")
        await asyncio.sleep(10)

    async with liar(plays(then)) as url, Watched(url) as camera:
        await camera.until("live", "")
        await camera.until("lost", "camera.garbage")
        await camera.until("live", "")


async def test_a_camera_that_falls_silent_freezes_and_is_then_lost():
    async def then(writer):
        await pictures(writer, 8)
        await asyncio.sleep(10)

    async with liar(plays(then)) as url, Watched(url) as camera:
        await camera.until("live", "")
        await camera.until("frozen", "camera.frozen")
        await camera.until("lost", "camera.silent", timeout_s=4.0)


async def test_a_camera_whose_key_frames_cease_is_connected_anew():
    # As one that changes its codec under the connection.
    patience = dataclasses.replace(QUICK, ceased_s=1.0)
    async with liar(plays(pictures)) as url, Watched(url, patience=patience) as camera:
        await camera.until("live", "")
        [run] = camera.stream.runs
        run.gop_90k, run.last_key_s = 45_000, time.monotonic()
        run.keys = 1
        await asyncio.sleep(2.5)
        assert camera.source.state.state == "live", "one that never had more may have none for long"
        run.keys, run.last_key_s = 2, time.monotonic()
        began_s = time.monotonic()
        await camera.until("lost", "camera.no_key_frames", timeout_s=20)
        assert time.monotonic() - began_s >= 2.0, "four groups of half a second"
        await camera.until("live", "")
        # It was no other codec: a camera whose groups grow in a still scene is not to be stormed.
        run = camera.stream.runs[-1]
        run.gop_90k, run.keys, run.last_key_s = 18_000, 2, time.monotonic()
        began_s = time.monotonic()
        await camera.until("lost", "camera.no_key_frames", timeout_s=30)
        assert time.monotonic() - began_s >= 3.0, "three times as long as before"


async def test_a_camera_that_never_answers_is_left_in_time(monkeypatch):
    monkeypatch.setattr("nvr.capture.rtsp.HANDSHAKE_S", 0.5)

    async def talk(reader, writer):
        try:
            await asyncio.sleep(30)
        finally:
            writer.close()

    async with liar(talk) as url, Watched(url) as camera:
        await camera.until("lost", "camera.silent", timeout_s=4.0)


async def test_a_half_open_connection_is_noticed_by_its_silence():
    # The peer's kernel keeps the connection, its program is gone: as a camera without power.
    async def then(writer):
        await pictures(writer, 5)
        writer.transport.pause_reading()
        await asyncio.sleep(30)

    patience = Patience(unreachable=Backoff(first_s=0.2, cap_s=0.4))
    async with liar(plays(then)) as url, Watched(url, patience=patience) as camera:
        await camera.until("live", "")
        began_s = asyncio.get_running_loop().time()
        await camera.until("lost", "camera.silent", timeout_s=8.0)
        assert asyncio.get_running_loop().time() - began_s < 6.5


async def test_a_camera_that_asks_gets_its_answer():
    answered = asyncio.Event()

    async def talk(reader, writer):
        async def then(writer):
            writer.write(b"OPTIONS * RTSP/1.0\r\nCSeq: 77\r\n\r\n")
            writer.write(PICTURE)

        watch = asyncio.StreamReader()

        async def tee():
            while data := await reader.read(65536):
                if b"CSeq: 77" in data and data.startswith(b"RTSP/1.0 200"):
                    answered.set()
                watch.feed_data(data)
            watch.feed_eof()

        await asyncio.gather(tee(), plays(then)(watch, writer))

    async with liar(talk) as url, Watched(url):
        await asyncio.wait_for(answered.wait(), 5)


async def test_waits_grow_to_the_cap_and_never_beyond():
    clock = FakeClock()
    source = Source("gate", Caller("rtsp://h/x", nobody, clock), Stream(), clock=clock)
    lost = [source._wait_s(error("camera.unreachable"), n) for n in range(1, 2000)]
    assert 0.5 <= lost[0] <= 1.0
    assert max(lost) <= 3.0
    assert min(lost) >= 0.5, "a camera that fails is not stormed"
    assert min(lost[3:]) >= 1.5
    assert len({round(wait, 3) for wait in lost}) > 100, "no jitter"
    confused = [source._wait_s(error("camera.not_found"), n) for n in range(1, 20)]
    assert confused[0] <= 1.0
    assert 10.0 <= max(confused) <= 15.0


def error(code):
    return Unavailable(code, "")


def test_a_password_shows_nowhere():
    account = Account("u", "geheim")
    caller = Caller("rtsp://h/x", lambda: account, SystemClock())
    assert "geheim" not in repr(account) + repr(caller) + str(caller)
