"""HLS of a real box: live with low latency and recorded, with players other than ours."""

import asyncio
import hashlib
import io
import json
import time
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from statistics import median

import aiohttp
import av
import pytest
import pytest_asyncio

from nvr.media.fragment import pieces, samples
from nvr.media.track import TrackConfig
from nvr.wire.nal import nals
from tests.app.box import RunningBox, running_box
from tests.app.hls_player import Player, attributes
from tests.serve.replayer import replayer

pytestmark = pytest.mark.asyncio(loop_scope="module")
VIDEO = (TrackConfig("video", "h264", 90_000, b"", 1280, 720),)
RANGES = f"/api/camera/dome/ranges?from_us=0&to_us={10**16}"
RECORDED_S = 8


class Host:
    """A box with something recorded, and who may see it."""

    def __init__(self, box: RunningBox) -> None:
        self.box, self.secrets = box, dict[str, str]()

    async def credential(self, name: str, *rights: str) -> None:
        body = {"name": name, "rights": {"*": list(rights)}}
        self.secrets[name] = (await self.box.call("POST", "/api/machine", body, 201))["secret"]

    def player(self, name: str = "host") -> Player:
        return Player(self.box.session, aiohttp.encode_basic_auth(name, self.secrets[name]))

    async def link(self, **body: object) -> str:
        made = await self.box.call("POST", "/api/camera/dome/link", body)
        return self.box.url + made["path"]

    async def span(self) -> tuple[int, int]:
        runs = (await self.box.call("GET", RANGES))["runs"]
        return runs[0]["from_us"], runs[0]["to_us"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    directory: Path = tmp_path_factory.mktemp("box")
    async with running_box(directory) as box:
        found = Host(box)
        await found.credential("host", "live", "playback", "unmasked")
        async with asyncio.timeout(120):
            while True:
                runs = (await box.call("GET", RANGES))["runs"]
                if runs and runs[-1]["to_us"] - runs[-1]["from_us"] > RECORDED_S * 1_000_000:
                    break
                await asyncio.sleep(0.5)
        yield found


def units(body: bytes) -> list[str]:
    """Hashes of the access units of ``moof mdat``, without what comes in other ways as well."""
    return [
        hashlib.sha256(
            b"".join(one for one in nals(unit.data) if one[0] & 31 not in {7, 8})
        ).hexdigest()
        for piece in pieces(body)
        for unit in samples(piece, VIDEO)
    ]


def media(file: bytes) -> bytes:
    """What follows ``ftyp moov``."""
    return file[file.index(b"moof") - 4 :]


async def test_a_span_is_the_same_over_rtsp_hls_and_export(host: Host) -> None:
    from_us, to_us = await host.span()
    end_us = min(to_us, from_us + 61_200_000) - 1_500_000
    asked = f"from_us={from_us + 1_200_000}&to_us={end_us}"
    exported = await host.box.take(f"/api/camera/dome/export?{asked}")
    whole = units(media(exported[1]))
    player = host.player()
    async with asyncio.timeout(60):  # the group of pictures under way is left out
        while True:
            found = await player.playlist(f"{host.box.url}/hls/dome/rec/main.m3u8?{asked}")
            begun = found.segments[0].at
            assert begun is not None
            lasts_s = sum(one.duration_s for one in found.segments)
            if begun.timestamp() + lasts_s >= end_us / 1e6:
                break
            await asyncio.sleep(0.5)
    assert found.ended
    assert found.faults() == []
    streamed = [one for _, body in await player.media(found) for one in units(body)]
    # An export ends with the part that holds the end, a playlist with the group of pictures.
    assert len(streamed) >= len(whole) >= 40
    assert streamed[: len(whole)] == whole
    begin_us = round(begun.timestamp() * 1e6)
    assert from_us <= begin_us + 1000 <= from_us + 1_200_000 + 1000
    async with replayer(host.box.rtsp_port, "rec/dome", "host", host.secrets["host"]) as reader:
        await reader.ask("DESCRIBE", Accept="application/sdp")
        setup = {"Transport": "RTP/AVP/TCP;unicast;interleaved=0-1"}
        assert (await reader.ask("SETUP", f"{reader.url}/track=0", **setup))[0] == 200
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime((from_us + 1_200_000) // 1_000_000))
        part = f"{(from_us + 1_200_000) % 1_000_000:06}"
        play = {"Range": f"clock={stamp}.{part}Z-", "Rate_Control": "no"}
        assert (await reader.ask("PLAY", **play))[0] == 200
        await reader.until(lambda seen: len(seen) > len(whole))
        replayed = [
            hashlib.sha256(b"".join(n for n in unit.nals if n[0] & 31 not in {7, 8})).hexdigest()
            for unit in reader.units[: len(whole)]
        ]
    assert replayed == whole


async def test_live_goes_on_by_the_book_and_is_close_to_now(host: Host) -> None:
    player = host.player()
    index = (await player.get(f"{host.box.url}/hls/dome/live/index.m3u8")).decode().splitlines()
    (said,) = [attributes(line) for line in index if line.startswith("#EXT-X-STREAM-INF")]
    assert said["RESOLUTION"] == "1280x720"
    assert said["CODECS"].startswith("avc1.")
    assert int(said["BANDWIDTH"]) > 10_000
    assert index[-1] == "main.m3u8"
    seen = await player.playlist(f"{host.box.url}/hls/dome/live/main.m3u8")
    assert seen.blocks
    assert seen.faults(even=False) == []
    ages_s, gathered = [], dict[str, bytes]()
    for _ in range(14):
        hinted = asyncio.create_task(player.session.get(seen.hint, headers=player.headers))
        newer = await player.after(seen)
        assert newer.faults(even=False) == []
        assert newer.next > seen.next, "a reload that blocks comes with something new"
        fresh = [p for s in newer.segments for p in s.parts if p.uri not in gathered]
        for one in fresh:
            gathered[one.uri] = await player.get(one.uri)
        reply = await hinted
        if seen.hint in gathered:
            assert await reply.read() == gathered[seen.hint]
        reply.release()
        segment = next(s for s in reversed(newer.segments) if s.parts)
        assert segment.at is not None
        end_s = segment.at.timestamp() + sum(one.duration_s for one in segment.parts)
        ages_s.append(time.time() - end_s)
        seen = newer
    print(f"age of the newest picture: median {median(ages_s):.3f} s, most {max(ages_s):.3f} s")
    assert median(ages_s) < 0.5
    for one in seen.whole:
        if one.parts and all(part.uri in gathered for part in one.parts):
            assert await player.get(one.uri) == b"".join(gathered[p.uri] for p in one.parts)
            break
    else:
        pytest.fail("no segment was seen from its first part to its last")
    last = seen.whole[-1]
    with av.open(io.BytesIO(await player.get(last.map) + await player.get(last.uri))) as file:
        times = [
            float(frame.pts * file.streams.video[0].time_base) for frame in file.decode(video=0)
        ]
    steps = [after - one for one, after in pairwise(times)]
    assert all(0 < step < 0.5 for step in steps)
    assert abs(sum(steps) + median(steps) - last.duration_s) < 0.5


async def run(*command: str, timeout_s: float = 60) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), timeout_s)
    except TimeoutError:
        process.kill()
        out, err = await process.communicate()
    return process.returncode, out.decode(errors="replace"), err.decode(errors="replace")


@pytest.mark.needs("ffmpeg")
async def test_ffmpeg_plays_live_and_recorded_by_link(host: Host) -> None:
    live = await host.link()
    code, out, err = await run(
        "ffmpeg", "-v", "error", "-tls_verify", "0", "-i", live, "-t", "4", "-map", "0:v",
        "-f", "framehash", "-hash", "CRC32", "-",
    )  # fmt: skip
    assert code == 0, err
    rows = [line.split(",") for line in out.splitlines() if line and line[0] != "#"]
    assert rows, err
    times = [int(row[2]) for row in rows]
    assert times == sorted(times)
    from_us, _ = await host.span()
    span = {"from_us": from_us + 1_000_000, "to_us": from_us + 6_000_000}
    recorded = await host.link(**span)
    code, out, err = await run(
        "ffprobe", "-v", "error", "-tls_verify", "0", "-count_frames", "-show_streams",
        "-of", "json", recorded,
    )  # fmt: skip
    assert code == 0, err
    (video,) = [s for s in json.loads(out)["streams"] if s["codec_type"] == "video"]
    assert video["codec_tag_string"] == "avc1"
    assert int(video["nb_read_frames"]) >= 5 * 10
    secret = host.secrets["host"]
    signed = (
        f"{host.box.url}/hls/dome/rec/main.m3u8?from_us={span['from_us']}&to_us={span['to_us']}"
    )
    code, out, err = await run(
        "ffprobe", "-v", "error", "-tls_verify", "0", "-show_entries", "stream=width",
        signed.replace("https://", f"https://host:{secret}@"),
    )  # fmt: skip
    assert "width=1280" in out, err


async def test_a_link_shows_one_camera_one_way_until_it_is_over(host: Host) -> None:
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False))

    async def status(url: str) -> int:
        async with session.get(url) as reply:
            await reply.read()
            return reply.status

    from_us, _ = await host.span()
    async with session:
        live = await host.link(hours=1)
        assert await status(live) == 200
        recorded = await host.link(from_us=from_us, to_us=from_us + 3_000_000)
        assert await status(recorded) == 200
        assert (
            await status(recorded.replace(str(from_us + 3_000_000), str(from_us + 9_000_000)))
            == 403
        )
        token = live.split("/link/")[1].split("/")[0]
        assert await status(live.replace(token, token[:-2] + "AA")) == 401
        assert await status(live.replace("/dome/", "/other/")) == 401
        assert await status(recorded.replace("/rec/main.m3u8", "/live/main.m3u8")) == 401
        assert await status(f"{host.box.url}/hls/dome/live/main.m3u8") == 401
