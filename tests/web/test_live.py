import asyncio
import dataclasses
import io
import itertools
import json
import socket as sockets
import struct
import time

import aiohttp
import av
import pytest

from nvr.base.clock import FakeClock
from nvr.base.errors import Unavailable
from nvr.media.mask import Mask
from nvr.media.part import Fragment
from nvr.serve.recodes import Place
from nvr.web.fragment import renumbered, shown, without
from nvr.web.live import Feed, Viewer
from nvr.wire import fmp4
from tests.media import clip
from tests.web import box as boxes


@pytest.fixture
async def media(video):
    config, fragments, _ = await boxes.fragments_of(video)
    return config, fragments


async def viewer(client, camera="gate"):
    socket = await client.socket(f"/ws/live/{camera}")
    state = await socket.receive_json(timeout=5)
    assert state["type"] == "state"
    return socket


async def arrive(socket, count):
    return [await socket.receive_bytes(timeout=5) for _ in range(count)]


def decode(data):
    with av.open(io.BytesIO(data), format="mp4") as container:
        return sum(1 for _ in container.decode(video=0))


async def test_a_browser_can_play_what_comes_and_a_late_one_starts_at_once(box, media):
    config, fragments = media
    stream = box.parts.hub.stream("gate/main")
    async with box.client() as client:
        await client.log_in("owner")
        first = await viewer(client)
        for fragment in fragments[:40]:
            stream.push(config, [fragment])
        message = json.loads(await first.receive_str(timeout=5))
        assert message == {
            "type": "config",
            "mime": fmp4.mime(config),
            "width_px": 320,
            "height_px": 180,
            "codec": "h264",
        }
        init = await first.receive_bytes(timeout=5)
        got = await arrive(first, 40)
        assert [one[0] for one in got] == [int(one.key) for one in fragments[:40]]
        assert decode(init + b"".join(one[12:] for one in got)) == 40
        wall_us = struct.unpack_from("<Q", got[-1], 4)[0]
        assert abs(wall_us / 1e6 - time.time()) < 60

        late = await viewer(client)
        await late.receive_str(timeout=5)
        await late.receive_bytes(timeout=5)
        group = await arrive(late, 15)
        assert group[0][0] == 1
        assert group == got[25:]
        assert len(stream.watchers) == 1
        await first.close()
        await late.close()
        await asyncio.sleep(0.05)
        assert stream.watchers == []


async def test_a_new_codec_is_announced_before_its_pictures(box, media):
    config, fragments = media
    other, after, _ = await boxes.fragments_of(clip.video(frames=3, width=160, height=96))
    stream = box.parts.hub.stream("gate/main")
    async with box.client() as client:
        await client.log_in("owner")
        socket = await viewer(client)
        stream.push(config, fragments[:1])
        stream.push(other, after[:1])
        kinds = [await socket.receive(timeout=5) for _ in range(6)]
        assert [one.type for one in kinds] == [
            aiohttp.WSMsgType.TEXT,
            aiohttp.WSMsgType.BINARY,
            aiohttp.WSMsgType.BINARY,
        ] * 2
        assert json.loads(kinds[3].data)["width_px"] == 160
        await socket.close()


async def test_the_condition_of_the_camera_comes_along(box):
    async with box.client() as client:
        await client.log_in("owner")
        socket = await viewer(client)
        cameras = box.parts.cameras
        cameras.set(dataclasses.replace(cameras.find("yard"), state="lost"))
        cameras.set(dataclasses.replace(cameras.find("gate"), state="lost", code="camera.lost"))
        told = await socket.receive_json(timeout=5)
        assert (told["type"], told["state"], told["code"]) == ("state", "lost", "camera.lost")
        await socket.close()


@pytest.mark.parametrize("order", ["video first", "audio first"])
async def test_sound_is_left_out_for_who_wants_none(video, order):
    config, fragments, parts = await boxes.fragments_of(video, clip.audio("pcma"))
    assert [track.codec for track in config] == ["h264", "pcma"]
    silent, ids = shown(config, sound=False), renumbered(config)
    assert ids == {1: 1}
    kept = [data for one in fragments if (data := without(one.data, ids))]
    assert decode(fmp4.init_segment(silent) + b"".join(kept)) >= 45
    whole = b"".join(part.moof + bytes(part.mdat) for part in parts)
    if order == "audio first":
        # The same file with the tracks swapped: what stays must be renumbered.
        swapped = without(whole, {1: 2, 2: 1})
        assert decode(fmp4.init_segment(config[::-1]) + swapped) >= 45
        whole, ids = swapped, renumbered(config[::-1])
        assert ids == {2: 1}
    assert decode(fmp4.init_segment(silent) + without(whole, ids)) >= 45


class Pipe:
    """A connection whose far end takes as much as it is told to."""

    def __init__(self):
        self.waiting = 0
        self.taken = []
        self.open = True

    def write(self, data):
        self.taken.append(data)

    def get_write_buffer_size(self):
        return self.waiting

    def is_closing(self):
        return not self.open

    def abort(self):
        self.open = False


def test_a_slow_viewer_goes_on_at_a_key_frame_and_a_stalled_one_is_cut():
    clock, pipe = FakeClock(), Pipe()
    stream = boxes.MemoryStream("gate/main")
    feed, one = Feed(stream, clock), Viewer(pipe, clock)
    config = (clip.video(frames=2).config,)

    def push(number):
        clock.advance(0.04)
        key = number % 25 == 0
        stream.push(config, [Fragment(b"%4d" % number, key, 0, clock.now_s)])

    feed.join(one)
    for number in range(30):
        push(number)
    assert len(pipe.taken) == 31  # the head, and one write for each
    pipe.waiting = 1000
    for number in range(30, 60):
        push(number)
    assert one.skipping
    sent = len(pipe.taken)
    assert sent < 60
    pipe.waiting = 500
    push(75)  # a key frame, but the connection is not empty yet
    assert len(pipe.taken) == sent
    pipe.waiting = 0
    push(76)
    assert len(pipe.taken) == sent
    push(100)
    assert pipe.taken[-1].endswith(b" 100")
    push(101)
    assert pipe.taken[-1].endswith(b" 101")
    assert not one.skipping
    pipe.waiting = 1000
    for number in range(102, 102 + 24 * 4):
        push(number)
    assert pipe.open
    for number in range(200, 240):
        push(number)
    assert not pipe.open
    feed.leave(one)
    assert stream.watchers == []


async def test_a_codec_without_a_name_harms_nobody(box, media):
    config, fragments = media
    odd = (dataclasses.replace(config[0], config=b"\x01"),)
    stream = box.parts.hub.stream("gate/main")
    async with box.client() as client:
        await client.log_in("owner")
        socket = await viewer(client)
        stream.push(odd, fragments[:1])
        stream.push(config, fragments[:1])
        assert json.loads(await socket.receive_str(timeout=5))["type"] == "config"
        await socket.close()


async def test_a_client_that_stops_reading_does_not_slow_others_and_is_cut(box, media):
    config, _ = media
    stream = box.parts.hub.stream("gate/main")
    async with box.client() as client:
        await client.log_in("owner")
        raw = sockets.socket()
        raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
        raw.connect(("127.0.0.1", box.page.port))
        raw.setblocking(False)
        reader, writer = await asyncio.open_connection(
            sock=raw, ssl=boxes.insecure(), server_hostname="localhost", limit=1024
        )
        writer.write(
            f"GET /ws/live/gate HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: https://127.0.0.1\r\n"
            f"Cookie: __Host-nvr={client.cookie}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        assert b"101" in await reader.readline()
        writer.transport.pause_reading()
        other = await viewer(client)
        await asyncio.sleep(0.05)
        live = box.page._live
        assert len(live._open) == 2
        payload = bytes(40_000)
        started = time.monotonic()
        received = pushed = 0
        stream.push(config, [Fragment(payload, True, 0, time.monotonic())])
        await other.receive_str(timeout=5)
        await other.receive_bytes(timeout=5)
        received += len(await arrive(other, 1))
        while len(live._open) > 1:
            assert time.monotonic() - started < 12
            key = pushed % 25 == 0
            stream.push(config, [Fragment(payload, key, 0, time.monotonic())])
            pushed += 1
            received += len(await arrive(other, 1))
            await asyncio.sleep(0.03)
        assert received == pushed + 1
        assert time.monotonic() - started > 3
        writer.transport.abort()
        await other.close()


async def test_a_viewer_is_signed_out_when_its_account_changes(box, media):
    await box.user("op", "operator", {"*": ["live"]})
    async with box.client() as client:
        await client.log_in("op")
        socket = await viewer(client)
        await box.parts.users.change("op", rights={})
        message = await socket.receive(timeout=3)
        assert message.type is aiohttp.WSMsgType.CLOSE
        assert message.data == 4401


async def test_recordings_come_back_as_they_were_taken(tmp_path, video):
    archive = boxes.MemoryArchive()
    config, _, parts = await boxes.fragments_of(video, clip.audio("pcmu"))
    archive.take(parts)
    async with boxes.running(tmp_path, archive=archive) as box:
        box.parts.cameras.put("x", "X")
        await box.parts.claim.claim(box.parts.claim.code(), "owner", boxes.PASSWORD)
        await box.user("late", "viewer", {"x": ["playback"]})
        async with box.client() as client:
            await client.log_in("owner")
            end_us = archive.until_us("x/main")
            span = f"from_us=0&to_us={end_us}"
            _, found, _ = await client.ask("GET", f"/api/camera/x/ranges?{span}")
            (run,) = found["runs"]
            assert run["to_us"] == found["recorded_until_us"] == end_us
            status, init, response = await client.ask("GET", f"/api/camera/x/init?run={run['run']}")
            assert status == 200
            assert response.headers["X-NVR-Mime"] == fmp4.mime(shown(config))
            t_us, pictures = run["from_us"], 0
            while t_us:
                _, data, response = await client.ask("GET", f"/api/camera/x/gop?t_us={t_us}")
                assert response.headers["X-NVR-Run"] == str(run["run"])
                pictures += decode(init + data)
                _, key, short = await client.ask("GET", f"/api/camera/x/gop?t_us={t_us}&key=1")
                assert data.startswith(key)
                assert decode(init + key) > 0
                assert short.headers["X-NVR-To-Us"] == response.headers["X-NVR-To-Us"]
                t_us = int(response.headers["X-NVR-Next-Us"] or 0)
            assert pictures >= 48
            status, file, response = await client.ask("GET", f"/api/camera/x/export?{span}")
            assert status == 200
            assert decode(file) == pictures
            assert response.headers["Content-Disposition"] == "attachment"
            status, told, _ = await client.ask("GET", f"/api/camera/x/gop?t_us={end_us + 1}")
            assert (status, told["code"]) == (404, "archive.nothing")
            status, told, _ = await client.ask("GET", "/api/camera/x/init?run=99")
            assert (status, told["code"]) == (404, "archive.no_run")
            status, told, _ = await client.ask("GET", "/api/camera/x/export?from_us=0&to_us=1")
            assert (status, told["code"]) == (404, "export.nothing")
            _, ring, _ = await client.ask("GET", "/api/ring")
            assert ring["used_bytes"] > 0
            _, log, _ = await client.ask("GET", "/api/audit")
            actions = [row["action"].rpartition("/")[2] for row in log["rows"]]
            hours = {run["from_us"] // 3600_000_000, end_us // 3600_000_000}
            assert actions.count("gop") == len(hours)
            assert actions.count("export") == 1


@pytest.mark.parametrize("codec", ["h265", "jpeg"])
async def test_a_browser_without_h265_is_given_a_small_picture_or_a_reason(box, media, codec):
    config, fragments = media
    tall = tuple(dataclasses.replace(track, codec=codec) for track in config)
    stream = box.parts.hub.stream("gate/main")
    asked = []

    class Recodes:
        """Gives the H.264 of the clip in the place of what it would make."""

        busy = False

        async def take(self, use, **_how):
            if self.busy:
                raise Unavailable("recode.busy", "one at a time", camera="yard", by=use.by)
            return Place(use, lambda _place: None)

        def live(self, source, _place, masks):
            asked.extend((source, masks()))
            return Small()

    class Small:
        name, config = "gate/main", None

        def watch(self, deliver):
            asyncio.get_running_loop().call_soon(deliver, config, fragments[:20])
            return lambda: asked.append("ended")

    object.__setattr__(box.parts, "recodes", Recodes())
    stream.config = tall
    async with box.client() as client:
        await client.log_in("owner")
        socket = await client.socket("/ws/live/gate?video=h264")
        assert (await socket.receive_json(timeout=5))["type"] == "state"
        said = json.loads(await socket.receive_str(timeout=5))
        assert (said["type"], said["codec"]) == ("config", "h264")
        init = await socket.receive_bytes(timeout=5)
        first = (await arrive(socket, 1))[0]
        assert first[0] & 1
        assert decode(init + first[12:]) == 1
        await socket.close()
        while "ended" not in asked:
            await asyncio.sleep(0.01)
        assert asked[:2] == [stream, ()]
        box.parts.recodes.busy = True
        refused = await client.socket("/ws/live/gate?video=h264")
        said = await refused.receive_json(timeout=5)
        context = {"camera": "Yard", "by": "owner"}
        assert (said["type"], said["code"], said["context"]) == ("refused", "recode.busy", context)
        await refused.close()


async def test_who_may_not_see_what_is_masked_gets_it_masked_and_nothing_else(box, media):
    """With the real sandbox, from the first picture on, whatever the browser asks for."""
    config, fragments = media
    stream, cameras = box.parts.hub.stream("gate/main"), box.parts.cameras
    masks = (Mask(((0, 0), (500, 0), (500, 1000), (0, 1000))),)
    await cameras.write_masks("gate", masks)
    await box.user("guard", "viewer", {"*": ["live"]})
    stream.config = config
    async with box.client() as client:
        await client.log_in("guard")
        socket = await viewer(client)
        push = asyncio.create_task(pushing(stream, config, fragments))
        said = json.loads(await socket.receive_str(timeout=30))
        assert (said["type"], said["height_px"]) == ("config", 180)
        data = await socket.receive_bytes(timeout=5)
        data += b"".join(one[12:] for one in await arrive(socket, 10))
        with av.open(io.BytesIO(data), format="mp4") as container:
            lumas = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
        assert len(lumas) == 10
        assert all(luma[:, :156].max() < 30 < 60 < luma[:, 164:].max() for luma in lumas)
        # Once nothing is hidden it is there as it is, and the converter free.
        await cameras.write_masks("gate", ())
        while not socket.closed:
            await socket.receive(timeout=5)
        plain = await viewer(client)
        # Hidden again, it is gone, for who sees it as it is.
        await cameras.write_masks("gate", masks)
        async with asyncio.timeout(5):
            async for _ in plain:
                pass
        push.cancel()


async def pushing(stream, config, fragments):
    for n in itertools.count():
        stream.push(config, [fragments[n % len(fragments)]])
        await asyncio.sleep(0.02)
