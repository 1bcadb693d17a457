"""HLS over HTTP: what is listed and when, for whom, and what is refused."""

import asyncio
import contextlib
import dataclasses
import io
import re
from itertools import count, pairwise

import aiohttp
import av
import pytest

from nvr.auth.user import rights_of
from nvr.media.fragment import samples
from nvr.media.mask import Mask
from nvr.media.part import Portion
from nvr.media.track import TrackConfig
from nvr.web import hls, hls_live, pieces
from tests.app.hls_player import read
from tests.media import clip, film
from tests.media.test_portions import gathered
from tests.web.box import Box, insecure

BEGIN_US = 1_700_000_000_000_000
RIGHT = (Mask(((500, 0), (1000, 0), (1000, 1000), (500, 1000))),)
LIVE = "/hls/gate/live"


def moved(data: bytes, ticks_90k: int) -> bytes:
    """The portion with its first track so much later, which is all there is in most."""
    at = data.find(b"tfdt") + 8
    if at < 8:
        return data
    ticks = int.from_bytes(data[at : at + 8], "big") + ticks_90k
    return data[:at] + ticks.to_bytes(8, "big") + data[at + 8 :]


class Camera:
    """Hands out portions of a clip as the ingest would, over and over."""

    def __init__(self, box: Box, config, portions, name="gate/main") -> None:
        self.stream = box.parts.hub.stream(name)
        self.config = self.stream.config = config
        self._portions = portions
        self._at = 0
        self._shift_90k = 0

    def jump(self, ticks_90k: int) -> None:
        self._shift_90k += ticks_90k

    def give(self, pieces: int = 1, together: bool = False) -> None:
        made = []
        for _ in range(pieces):
            one = self._portions[self._at % len(self._portions)]
            first, last = self._portions[0], self._portions[-1]
            loop_90k = last.start_90k + last.duration_90k - first.start_90k
            at_90k = one.start_90k + self._shift_90k + loop_90k * (self._at // len(self._portions))
            wall_us = BEGIN_US + at_90k * 100 // 9
            data = moved(one.data, at_90k - one.start_90k)
            made.append(Portion(1, data, at_90k, one.duration_90k, wall_us, one.key, one.ends))
            self._at += 1
        for deliver in list(self.stream.takers):
            for some in [made] if together else [[one] for one in made]:
                deliver(self.config, some)


@pytest.fixture
async def h264():
    config, portions, _ = await gathered(clip.video(frames=100, gop=50))
    return config, portions


async def begun(box: Box, client, camera, file="main") -> str:
    """The first playlist, which waits for the first segment that is whole."""
    asked = asyncio.create_task(client.ask("GET", f"{LIVE}/{file}.m3u8"))
    async with asyncio.timeout(20):
        while not camera.stream.takers:
            await asyncio.sleep(0.01)
    camera.give(3, together=True)
    await asyncio.sleep(0.05)
    assert not asked.done(), "nothing is whole yet"
    camera.give(2)
    await asyncio.sleep(0.05)
    assert not asked.done(), "some players are lost with one segment"
    camera.give(4)
    status, body, response = await asked
    assert status == 200, body
    assert response.content_type == "application/vnd.apple.mpegurl"
    return body.decode()


async def test_what_does_not_exist_yet_is_waited_for(box: Box, h264) -> None:
    camera = Camera(box, *h264)
    async with box.client() as client:
        await client.log_in("owner")
        first = read(await begun(box, client, camera), f"{client.url}{LIVE}/main.m3u8")
        assert first.faults() == []
        assert len(first.whole) == 2
        number, part = first.next
        again = f"{LIVE}/main.m3u8?_HLS_msn={number}&_HLS_part={part}"
        waiting = asyncio.create_task(client.ask("GET", again))
        hinted = asyncio.create_task(client.ask("GET", first.hint.removeprefix(client.url)))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        assert not hinted.done()
        camera.give()
        status, body, _ = await waiting
        second = read(body.decode(), first.url)
        assert (status, second.next) == (200, (number, part + 1))
        status, _, response = await hinted
        assert (status, response.content_type) == (200, "video/mp4")
        assert second.segments[-1].parts[part].uri == first.hint
        camera.give(20)
        third = read((await client.ask("GET", f"{LIVE}/main.m3u8"))[1].decode(), first.url)
        assert third.faults() == []
        assert third.independent
        assert [one.number for one in third.segments] == list(
            range(third.segments[0].number, third.segments[-1].number + 1)
        )
        for one, after in pairwise(third.whole):
            apart_s = (after.at - one.at).total_seconds()
            assert abs(apart_s - one.duration_s) < 0.01
        with_parts = [one for one in third.whole if one.parts]
        assert with_parts
        assert len(with_parts) < len(third.whole), "parts of what is long past are not told"
        status, segment, _ = await client.ask("GET", with_parts[0].uri.removeprefix(client.url))
        assert status == 200
        parts = [
            (await client.ask("GET", p.uri.removeprefix(client.url)))[1]
            for p in with_parts[0].parts
        ]
        assert segment == b"".join(parts)
        init = (await client.ask("GET", third.whole[0].map.removeprefix(client.url)))[1]
        with av.open(io.BytesIO(init + segment)) as file:
            assert len(list(file.decode(video=0))) == 50
        beyond = f"{LIVE}/main.m3u8?_HLS_msn={third.next[0] + 3}"
        status, told, _ = await client.ask("GET", beyond)
        assert (status, told["code"]) == (400, "hls.ahead")
        # A part that the segment turned out not to have is the first of the next one.
        past = third.whole[-1]
        late = f"{LIVE}/main.m3u8?_HLS_msn={past.number}&_HLS_part={len(past.parts) + 5}"
        assert (await client.ask("GET", late))[0] == 200
        status, body, _ = await client.ask("GET", f"{LIVE}/main.m3u8?_HLS_skip=YES")
        assert (status, "SKIP" in body.decode()) == (200, False), "all of it instead of a part"
        for file in (
            "main-1.mp4",
            f"main-{past.number}-99.mp4",
            "main-7.init.mp4",
            "x.mp4",
            "..mp4",
        ):
            assert (await client.ask("GET", f"{LIVE}/{file}"))[0] == 404


async def test_a_jump_and_another_format_are_told(box: Box, h264) -> None:
    camera = Camera(box, *h264)
    async with box.client() as client:
        await client.log_in("owner")
        await begun(box, client, camera)
        camera.give(8)
        camera.jump(90_000 * 60)
        camera.give(8)
        config, portions, _ = await gathered(clip.video("h265", frames=50, gop=25))
        other = Camera(box, config, portions)
        other.jump(camera._shift_90k + 90_000 * 100)
        other.give(6)
        text = (await client.ask("GET", f"{LIVE}/main.m3u8"))[1].decode()
        seen = read(text, f"{client.url}{LIVE}/main.m3u8")
        assert seen.faults() == []
        assert [one.fresh for one in seen.segments].count(True) >= 2
        assert len({one.map for one in seen.segments}) == 2
        init = (await client.ask("GET", seen.segments[-1].map.removeprefix(client.url)))[1]
        assert b"hvc1" in init
        index = (await client.ask("GET", f"{LIVE}/index.m3u8"))[1].decode()
        assert re.search(r'CODECS="hvc1\.[0-9A-Z.]+"', index)
        camera.give(60)
        text = (await client.ask("GET", f"{LIVE}/main.m3u8"))[1].decode()
        assert read(text, "").discontinuities >= 3, "those not listed any more are counted"


async def test_telephone_sound_is_made_flac_and_aac_is_left(box: Box) -> None:
    for kind, named in (("pcma", "flac"), ("aac", "mp4a.40.2")):
        name = f"gate/{'main' if kind == 'pcma' else 'sub'}"
        config, portions, _ = await gathered(clip.video(frames=100, gop=50), clip.audio(kind, 4.0))
        camera = Camera(box, config, portions, name)
        async with box.client() as client:
            await client.log_in("owner")
            if kind == "aac":
                box.parts.cameras.put("gate", "Gate", sub=box.parts.cameras.find("yard"))
            file = name.partition("/")[2]
            text = await begun(box, client, camera, file)
            seen = read(text, f"{client.url}{LIVE}/main.m3u8").whole[0]
            init = (await client.ask("GET", seen.map.removeprefix(client.url)))[1]
            body = (await client.ask("GET", seen.uri.removeprefix(client.url)))[1]
            with av.open(io.BytesIO(init + body)) as media:
                assert media.streams.audio[0].codec_context.name == named.partition(".")[0].replace(
                    "mp4a", "aac"
                )
                assert sum(frame.samples for frame in media.decode(audio=0)) > 0
            if kind == "aac":
                plain = [one for one in samples(portions[0].data, config) if one.track == 1]
                assert all(one.data in body for one in plain)
            else:
                index = (await client.ask("GET", f"{LIVE}/index.m3u8"))[1].decode()
                assert named in index


async def test_jpeg_is_refused_with_a_word(box: Box) -> None:
    config = (TrackConfig("video", "jpeg", 90_000, b"", 320, 240),)
    camera = Camera(box, config, [Portion(1, b"", 0, 45_000, BEGIN_US, True)])
    async with box.client() as client:
        await client.log_in("owner")
        asked = asyncio.create_task(client.ask("GET", f"{LIVE}/main.m3u8"))
        async with asyncio.timeout(10):
            while not camera.stream.takers:
                await asyncio.sleep(0.01)
        camera.give()
        status, told, _ = await asked
        assert (status, told["code"]) == (409, "hls.codec")
        box.parts.archive.take(list(film.recorded("gate/main", "jpeg", 2, BEGIN_US)))
        span = f"from_us={BEGIN_US}&to_us={BEGIN_US + 1_000_000}"
        status, told, _ = await client.ask("GET", f"/hls/gate/rec/main.m3u8?{span}")
        assert (status, told["code"]) == (409, "hls.codec")


async def test_nobody_there_is_said_in_time_and_the_stream_is_let_go(box: Box, monkeypatch) -> None:
    monkeypatch.setattr(hls_live, "BEGIN_S", 0.1)
    monkeypatch.setattr(hls_live, "IDLE_S", 0.2)
    monkeypatch.setattr(hls, "CHECK_S", 0.05)
    async with box.client() as client:
        await client.log_in("owner")
        status, told, response = await client.ask("GET", f"{LIVE}/main.m3u8")
        assert (status, told["code"]) == (503, "hls.no_picture")
        assert int(response.headers["Retry-After"]) > 0
        status, told, _ = await client.ask("GET", f"{LIVE}/sub.m3u8")
        assert (status, told["code"]) == (404, "camera.no_sub")
        stream = box.parts.hub.stream("gate/main")
        async with asyncio.timeout(20):
            while stream.takers:
                await asyncio.sleep(0.05)


async def test_machines_and_people_see_what_they_may_and_masks_hold(box: Box, h264) -> None:
    camera = Camera(box, *h264)
    _, secret = box.parts.machines.add("wall", rights_of({"gate": ["live"]}))
    await box.user("anna", "operator", {"gate": ["live", "export"], "yard": ["export"]})

    basic = {"Authorization": aiohttp.encode_basic_auth("wall", secret)}
    wrong = {"Authorization": aiohttp.encode_basic_auth("wall", "x")}
    async with box.client() as owner, box.client() as anna, box.client() as wall:
        await owner.log_in("owner")
        await anna.log_in("anna")
        await begun(box, owner, camera)
        path = f"{LIVE}/main.m3u8"
        for client, headers, expected in (
            (wall, basic, 200), (wall, wrong, 401), (wall, None, 401), (anna, None, 200),
        ):  # fmt: skip
            status, _, response = await client.ask("GET", path, headers=headers)
            assert status == expected
            assert (status == 401) == ("WWW-Authenticate" in response.headers)
        assert (await wall.ask("GET", "/hls/yard/live/main.m3u8", headers=basic))[0] == 404
        assert (await anna.ask("GET", "/hls/yard/live/main.m3u8"))[0] == 403
        _, made, _ = await anna.ask("POST", "/api/camera/gate/link", {"hours": 1})
        assert made["path"].endswith("/gate/live/index.m3u8")
        listed = made["path"].replace("index", "main")
        status, _, response = await wall.ask("GET", listed)
        assert (status, response.headers["Access-Control-Allow-Origin"]) == (200, "*")
        status, told, _ = await anna.ask("POST", "/api/camera/yard/link", {"hours": 1})
        assert (status, told["code"]) == (403, "auth.denied")
        span = {"from_us": BEGIN_US, "to_us": BEGIN_US + 1}
        assert (await anna.ask("POST", "/api/camera/gate/link", span))[0] == 403
        assert (await anna.ask("POST", "/api/camera/gate/link", {"hours": 9999}))[0] == 400
        await box.parts.cameras.write_masks("gate", RIGHT)
        assert (await wall.ask("GET", path, headers=basic))[0] == 403
        assert (await anna.ask("GET", path))[0] == 403
        assert (await wall.ask("GET", listed))[0] == 403
        assert (await owner.ask("GET", path))[0] == 200
        assert (await owner.ask("GET", "/hls/nowhere/live/main.m3u8"))[0] == 404
        rows = (await owner.ask("GET", "/api/audit"))[1]["rows"]
        began = [row["who"] for row in rows if row["action"] == "hls live"]
        assert set(began) == {"anna", "owner", "wall"}
        assert len(began) <= 6, "one row for who looks on, not one a request"


async def test_a_machine_that_ends_is_refused_with_its_next_request(box: Box, h264) -> None:
    camera = Camera(box, *h264)
    rights = rights_of({"gate": ["live"]})
    _, secret = box.parts.machines.add("wall", rights)
    basic = {"Authorization": aiohttp.encode_basic_auth("wall", secret)}
    async with box.client() as owner, box.client() as wall:
        await owner.log_in("owner")
        await begun(box, owner, camera)
        asked = [await wall.ask("GET", f"{LIVE}/main.m3u8", headers=basic) for _ in range(2)]
        assert [status for status, _, _ in asked] == [200, 200]
        box.parts.machines.remove("wall")
        assert (await wall.ask("GET", f"{LIVE}/main.m3u8", headers=basic))[0] == 401
        _, fresh = box.parts.machines.add("wall", rights)
        assert (await wall.ask("GET", f"{LIVE}/main.m3u8", headers=basic))[0] == 401
        basic = {"Authorization": aiohttp.encode_basic_auth("wall", fresh)}
        assert (await wall.ask("GET", f"{LIVE}/main.m3u8", headers=basic))[0] == 200


async def test_a_player_that_takes_nothing_is_cut_and_the_others_go_on(
    box: Box, h264, monkeypatch
) -> None:
    monkeypatch.setattr(pieces, "WRITE_S", 0.3)
    config, portions = h264
    large = [dataclasses.replace(one, data=bytes(6 << 20)) for one in portions]
    camera = Camera(box, config, large)
    async with box.client() as client:
        await client.log_in("owner")
        seen = read(await begun(box, client, camera), f"{client.url}{LIVE}/main.m3u8")
        port = int(client.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=insecure())
        path = seen.whole[0].uri.removeprefix(client.url)
        head = (
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: __Host-nvr={client.cookie}\r\n\r\n"
        )
        writer.write(head.encode())
        assert (await reader.readline()).split()[1] == b"200"
        await asyncio.sleep(2.0)
        body = (await client.ask("GET", path))[1]
        assert len(body) >= 12 << 20
        with pytest.raises((asyncio.IncompleteReadError, OSError)):
            await asyncio.wait_for(reader.readexactly(len(body)), 60)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def test_more_than_can_be_served_are_told_when_to_come_again(
    box: Box, h264, monkeypatch
) -> None:
    monkeypatch.setattr(hls, "MOST_OF_ONE", 2)
    camera = Camera(box, *h264)
    numbers = count()
    async with box.client() as owner, box.client() as other:
        await owner.log_in("owner")
        await begun(box, owner, camera)
        answers = []
        for _ in range(2):
            name = f"wall-{next(numbers)}"
            _, secret = box.parts.machines.add(name, rights_of({"gate": ["live"]}))

            basic = {"Authorization": aiohttp.encode_basic_auth(name, secret)}
            status, told, response = await other.ask("GET", f"{LIVE}/main.m3u8", headers=basic)
            answers.append((status, response.headers.get("Retry-After")))
        assert answers == [(200, None), (503, "11")]
        assert told["code"] == "hls.full"
        assert (await owner.ask("GET", f"{LIVE}/main.m3u8"))[0] == 200, "who is here stays"


async def test_a_span_is_listed_whole_and_asked_about_again(box: Box) -> None:
    box.parts.archive.take(list(film.recorded("gate/main", "h264", 6, BEGIN_US)))
    again = [
        part.__class__(**{**{f: getattr(part, f) for f in part.__dataclass_fields__}, "run": 9})
        for part in film.recorded("gate/main", "h264", 3, BEGIN_US + 60_000_000)
    ]
    box.parts.archive.take(again)
    async with box.client() as client:
        await client.log_in("owner")
        span = f"from_us={BEGIN_US + 1_100_000}&to_us={BEGIN_US + 62_000_000}"
        url = f"/hls/gate/rec/main.m3u8?{span}"
        status, body, _ = await client.ask("GET", url)
        assert status == 200
        found = read(body.decode(), client.url + url)
        assert found.faults() == []
        assert found.ended
        assert [one.fresh for one in found.segments] == [False, False, False, True]
        assert [round(one.duration_s) for one in found.segments] == [2, 2, 1, 2]
        pictures = []
        for one in found.segments:
            init = (await client.ask("GET", one.map.removeprefix(client.url)))[1]
            data = (await client.ask("GET", one.uri.removeprefix(client.url)))[1]
            with av.open(io.BytesIO(init + data)) as file:
                pictures += [
                    film.number(float(p.to_ndarray()[200, 160])) for p in file.decode(video=0)
                ]
        assert len(pictures) == 7 * 25
        assert abs(pictures[0] - 25) < 1.5, "from the key frame before"
        for query in ("", "?from_us=5&to_us=1", f"?from_us=0&to_us={10**12}"):
            status, told, _ = await client.ask("GET", f"/hls/gate/rec/main.m3u8{query}")
            assert status in {400, 404}, told
        status, told, _ = await client.ask("GET", f"/hls/gate/rec/main-9.5-{BEGIN_US}-1.mp4")
        assert (status, told["code"]) == (404, "hls.gone")
        rows = (await client.ask("GET", "/api/audit"))[1]["rows"]
        assert any(
            row["action"] == "hls rec" and str(BEGIN_US + 1_100_000) in row["reason"]
            for row in rows
        )
        await box.parts.cameras.write_masks("gate", RIGHT)
        await box.user("anna", "operator", {"gate": ["live", "playback"]})
        async with box.client() as anna:
            await anna.log_in("anna")
            assert (await anna.ask("GET", url))[0] == 403
            uri = found.segments[0].uri.removeprefix(client.url)
            assert (await anna.ask("GET", uri))[0] == 403
