"""Recordings converted for a viewer over HTTP: pictures, masks, rights, one at a time."""

import asyncio
import contextlib
import io
import json
import struct

import aiohttp
import av
import pytest

from nvr.auth.user import rights_of
from nvr.media.mask import Mask
from nvr.serve import recodes
from nvr.web import replay
from tests.media import film
from tests.web.box import PASSWORD, Box

BEGIN_US = 1_700_000_000_000_000
RIGHT = (Mask(((500, 0), (1000, 0), (1000, 1000), (500, 1000))),)
H265 = list(film.recorded("gate/main", "h265", 3, BEGIN_US))
H264 = list(film.recorded("yard/main", "h264", 3, BEGIN_US))


@pytest.fixture(autouse=True)
def recorded(box: Box, monkeypatch):
    monkeypatch.setattr(recodes, "PATIENCE_S", 0.2)
    box.parts.archive.take([*H265, *H264])


async def ask(socket, n, t_us, **more):
    await socket.send_json({"op": "gop", "n": n, "t_us": t_us, **more})


async def answer(socket):
    """Head, and what follows it decoded; or what was wrong."""
    message = await socket.receive(timeout=30)
    if message.type is aiohttp.WSMsgType.TEXT:
        return json.loads(message.data), []
    assert message.type is aiohttp.WSMsgType.BINARY, message
    (size,) = struct.unpack_from("<I", message.data)
    head = json.loads(message.data[4 : 4 + size])
    with av.open(io.BytesIO(message.data[4 + size :]), format="mp4") as file:
        assert [stream.codec_context.name for stream in file.streams] == ["h264"]
        return head, [one.to_ndarray()[: one.height] for one in file.decode(video=0)]


async def test_a_browser_without_h265_gets_every_picture_as_h264(box: Box) -> None:
    async with box.client() as client:
        await client.log_in("owner")
        async with client.socket("/ws/playback/gate") as socket:
            await ask(socket, 1, BEGIN_US + 1_500_000)
            head, pictures = await answer(socket)
            second = BEGIN_US + 1_000_000
            assert (head["n"], head["from_us"], head["to_us"]) == (1, second, second + 1_000_000)
            assert (head["next_us"], head["converted"]) == (second + 1_000_000, True)
            assert head["mime"].startswith('video/mp4; codecs="avc1.')
            assert head["speed"] > 0
            shown = [film.number(float(one[200, 160])) for one in pictures]
            assert len(shown) == 25
            assert all(abs(n - (25 + at)) < 1.5 for at, n in enumerate(shown)), shown
            await ask(socket, 2, BEGIN_US + 2_500_000, key=True)
            head, pictures = await answer(socket)
            assert (head["to_us"], len(pictures)) == (BEGIN_US + 3_000_000, 1)
            await ask(socket, 3, BEGIN_US + 60_000_000)
            assert (await answer(socket))[0]["refused"]["code"] == "archive.nothing"
        async with client.socket("/ws/playback/yard") as socket:
            await ask(socket, 1, BEGIN_US)
            head, pictures = await answer(socket)
            assert (head["converted"], len(pictures)) == (False, 25), "it is H.264, and all is seen"
        _, log, _ = await client.ask("GET", "/api/audit")
        assert {row["target"] for row in log["rows"] if row["action"].endswith("/gop")} == {
            "gate", "yard",
        }  # fmt: skip


async def test_jpeg_is_made_h264_for_every_browser(box: Box) -> None:
    box.parts.archive.take(list(film.recorded("gate/sub", "jpeg", 2, BEGIN_US)))
    async with box.client() as client:
        await client.log_in("owner")
        async with client.socket("/ws/playback/gate?stream=sub") as socket:
            at_us, shown = BEGIN_US, []
            while at_us is not None:
                await ask(socket, 1, at_us)
                head, pictures = await answer(socket)
                assert (head["from_us"], head["converted"]) == (at_us, True)
                shown += [film.number(float(one[200, 160])) for one in pictures]
                at_us = head["next_us"]
            assert len(shown) == 50
            assert all(abs(n - at) < 1.5 for at, n in enumerate(shown)), shown
            await ask(socket, 2, BEGIN_US, key=True)
            assert len((await answer(socket))[1]) == 1


@pytest.mark.parametrize("camera", ["gate", "yard"])
async def test_who_may_not_see_under_masks_gets_them_burned_in(box: Box, camera: str) -> None:
    await box.parts.cameras.write_masks(camera, RIGHT)
    await box.user("guard", "viewer", {"*": ["playback"]})
    async with box.client() as client:
        await client.log_in("guard")
        path = f"/api/camera/{camera}/gop?t_us={BEGIN_US}"
        assert (await client.ask("GET", path))[1]["code"] == "auth.masked"
        async with client.socket(f"/ws/playback/{camera}") as socket:
            for n, key in ((1, False), (2, True)):
                await ask(socket, n, BEGIN_US, key=key)
                head, pictures = await answer(socket)
                assert (head["converted"], len(pictures)) == (True, 1 if key else 25)
                for luma in pictures:
                    assert luma[:, 166:].max() < 30
                    assert luma[:100, :150].min() > 100
        await client.log_in("owner")
        async with client.socket(f"/ws/playback/{camera}") as socket:
            await ask(socket, 1, BEGIN_US)
            _, pictures = await answer(socket)
            assert min(luma[:100, 166:].min() for luma in pictures) > 100


async def test_one_at_a_time_and_free_once_its_viewer_left(box: Box, monkeypatch) -> None:
    await box.user("anna", "viewer", {"gate": ["playback"], "yard": ["playback"]})
    await box.user("bert", "viewer", {"yard": ["live", "playback"]})
    await box.parts.cameras.write_masks("yard", RIGHT)
    async with box.client() as one, box.client() as other, box.client() as third:
        await one.log_in("anna")
        await other.log_in("owner")
        await third.log_in("bert")
        async with one.socket("/ws/playback/gate") as first:
            await ask(first, 1, BEGIN_US)
            assert (await answer(first))[0]["converted"]
            async with other.socket("/ws/playback/gate") as second:
                await ask(second, 1, BEGIN_US)
                refused = (await answer(second))[0]["refused"]
                assert (refused["code"], refused["context"]) == (
                    "recode.busy", {"camera": "Gate", "by": "anna"},
                )  # fmt: skip
            # Live, too; and of a camera that somebody must not know nothing is said.
            async with third.socket("/ws/live/yard") as live:
                refused = await live.receive_json(timeout=10)
                assert (refused["type"], refused["code"]) == ("refused", "recode.busy")
                assert refused["context"] == {"camera": "–", "by": "–"}
            # The same person goes elsewhere.
            async with one.socket("/ws/playback/yard") as elsewhere:
                await ask(elsewhere, 1, BEGIN_US)
                assert (await answer(elsewhere))[0]["converted"]
            await ask(first, 2, BEGIN_US)
            assert (await answer(first))[0]["converted"]
        async with other.socket("/ws/playback/gate") as second:
            await ask(second, 1, BEGIN_US)
            assert (await answer(second))[0]["converted"]
        # Half a minute without a question, and it is free as well.
        monkeypatch.setattr(replay, "IDLE_S", 0.1)
        async with one.socket("/ws/playback/gate") as idle:
            await ask(idle, 1, BEGIN_US)
            assert (await answer(idle))[0]["converted"]
            async with other.socket("/ws/playback/gate") as second:
                async with asyncio.timeout(10):
                    while True:
                        await ask(second, 1, BEGIN_US)
                        if "refused" not in (await answer(second))[0]:
                            break
            await ask(idle, 2, BEGIN_US)
            assert (await answer(idle))[0]["converted"]


async def test_what_is_dropped_is_not_converted_and_what_is_none_ends_it(box: Box) -> None:
    async with box.client() as client:
        await client.log_in("owner")
        async with client.socket("/ws/playback/gate") as socket:
            for n in range(1, 5):
                await ask(socket, n, BEGIN_US)
            for n in (1, 2, 3):
                await socket.send_json({"op": "drop", "n": n})
            assert (await answer(socket))[0]["n"] in {1, 4}
        for bad in (
            "",
            "[]",
            '{"op": "gop"}',
            '{"op": "gop", "n": 1, "t_us": 1, "x": 1}',
            "[" * 900,
        ):
            async with client.socket("/ws/playback/gate") as socket:
                await socket.send_str(bad)
                assert (await socket.receive(timeout=10)).type is aiohttp.WSMsgType.CLOSE
        async with client.socket("/ws/playback/gate") as socket:
            with contextlib.suppress(ConnectionError):
                for n in range(50):
                    await ask(socket, n, BEGIN_US)
            async with asyncio.timeout(10):
                async for _ in socket:
                    pass


async def test_nothing_is_played_back_without_the_right(box: Box) -> None:
    limit = (BEGIN_US, BEGIN_US + 1_500_000)
    await box.user("eye", "viewer", {"gate": ["live"]})
    rights = rights_of({"gate": ["playback"]})
    await box.parts.users.add("far", "viewer", PASSWORD, rights, limit)
    async with box.client() as client:
        await client.log_in("eye")
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await client.socket("/ws/playback/gate")
        assert refused.value.status == 403
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await client.socket("/ws/playback/yard")
        assert refused.value.status == 404
        await client.log_in("far")
        async with client.socket("/ws/playback/gate") as socket:
            for t_us, code in ((BEGIN_US, ""), (BEGIN_US + 1_200_000, "auth.denied"),
                               (BEGIN_US + 2_500_000, "auth.denied")):  # fmt: skip
                await ask(socket, 1, t_us)
                assert (await answer(socket))[0].get("refused", {"code": ""})["code"] == code
