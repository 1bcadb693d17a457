"""Players of HLS that are not ours: GStreamer's two demuxers, and hls.js in a browser.

hls.js is not shipped: ``NVR_HLS_JS`` names its ``hls.min.js`` (npm ``hls.js`` 1.7), else that test
is left out.
"""

import asyncio
import contextlib
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import async_playwright

from nvr.auth.user import rights_of
from tests.media import clip, film
from tests.media.test_portions import gathered
from tests.web.box import Box, running
from tests.web.test_hls import BEGIN_US, Camera

HLS_JS = os.environ.get("NVR_HLS_JS", "")
_SHOWN = re.compile(r"last-message = chain .*? pts: (\S+?),")
PLAY = """([url, low]) => new Promise((resolve, reject) => {
  const video = document.querySelector("video");
  video.muted = true;
  const hls = new Hls({lowLatencyMode: low, liveDurationInfinity: true});
  const seen = {parts: 0, segments: 0, errors: []};
  hls.on(Hls.Events.FRAG_LOADED, (_, data) => data.part ? seen.parts++ : seen.segments++);
  hls.on(Hls.Events.ERROR, (_, data) => seen.errors.push(`${data.details} ${data.fatal}`));
  hls.loadSource(url);
  hls.attachMedia(video);
  video.play().catch((error) => seen.errors.push(String(error)));
  setTimeout(() => {
    const level = hls.levels[hls.currentLevel] || {};
    resolve({...seen, at: video.currentTime, latency: hls.latency, codecs: level.videoCodec,
      frames: video.getVideoPlaybackQuality().totalVideoFrames, width: video.videoWidth});
  }, 15000);
})"""


@contextlib.asynccontextmanager
async def playing(tmp_path: Path) -> AsyncIterator[tuple[Box, str, str]]:
    """A plain box whose camera goes on in real time; links to what is live and recorded."""
    config, portions, _ = await gathered(clip.video(frames=100, gop=50, width=320, height=192))
    async with running(tmp_path, tls=False) as box:
        box.parts.cameras.put("gate", "Gate")
        box.parts.archive.take(list(film.recorded("gate/main", "h264", 8, BEGIN_US)))
        machines, links = box.parts.machines, box.parts.links
        assert links is not None
        machines.add("wall", rights_of({"gate": ["live", "playback"]}))
        await box.parts.claim.claim(box.parts.claim.code(), "owner", "correct horse")
        wall = machines.subject("wall")
        assert wall is not None
        live = f"{box.url}/link/{links.make(wall, 'gate', 600)}/gate/live/main.m3u8"
        span = (BEGIN_US, BEGIN_US + 8_000_000)
        recorded = f"{box.url}/link/{links.make(wall, 'gate', 600, span)}/gate/rec/main.m3u8"
        camera = Camera(box, config, portions)

        async def feed() -> None:
            while True:
                for one in portions:
                    while not camera.stream.takers:  # what is first begins with a key frame
                        await asyncio.sleep(0.01)
                    camera.give()
                    await asyncio.sleep(one.duration_90k / 90_000)

        task = asyncio.create_task(feed())
        try:
            yield box, live, f"{recorded}?from_us={span[0]}&to_us={span[1]}"
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def shown(player: str, url: str, most: int, *, paced: bool) -> list[str]:
    """Times of the first pictures that a player of GStreamer shows, all there are or so many."""
    sink = f"video-sink=fakesink silent=false sync={str(paced).lower()}"
    process = await asyncio.create_subprocess_exec(
        "gst-launch-1.0", "-v", player, f"uri={url}", sink,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout
    times: list[str] = []
    try:
        async with asyncio.timeout(60):
            async for line in process.stdout:
                if found := _SHOWN.search(line.decode(errors="replace")):
                    times.append(found[1])
                if len(times) >= most:
                    break
    except TimeoutError:
        pass
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()
    return times


@pytest.mark.needs("gstreamer")
async def test_gstreamer_plays_live_from_the_first_playlist_on(tmp_path: Path) -> None:
    async with playing(tmp_path) as (_, live, _):
        # The older one takes the time in a segment for the time since it began: it cannot wait.
        newer, older = await asyncio.gather(
            shown("playbin3", live, 130, paced=True),  # hlsdemux2
            shown("playbin", live, 130, paced=False),  # hlsdemux
        )
    for times in (newer, older):
        assert len(times) == 130, "more than the first playlist lists"
        assert times == sorted(times)


@pytest.mark.needs("gstreamer")
async def test_gstreamer_plays_all_of_a_recording(tmp_path: Path) -> None:
    async with playing(tmp_path) as (_, _, recorded):
        for player in ("playbin3", "playbin"):
            assert len(await shown(player, recorded, 1000, paced=False)) == 200


@pytest.mark.needs("chromium")
@pytest.mark.skipif(not HLS_JS, reason="NVR_HLS_JS names no hls.min.js")
@pytest.mark.parametrize("low", [True, False])
async def test_hls_js_plays_in_a_browser(tmp_path: Path, low: bool) -> None:
    async with playing(tmp_path) as (_, live, recorded), async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--headless=new", "--no-sandbox"]
        )
        page = await browser.new_page()
        await page.set_content("<video></video>")
        await page.add_script_tag(path=HLS_JS)
        seen = await page.evaluate(PLAY, [live, low])
        assert set(seen["errors"]) <= {"bufferStalledError false"}, "it begins with one segment"
        assert seen["width"] == 320
        assert seen["frames"] > 100
        assert (seen["parts"] > 10) == low
        if low:
            await page.evaluate(
                "document.querySelector('video').replaceWith(document.createElement('video'))"
            )
            seen = await page.evaluate(PLAY, [recorded, low])
            assert seen["frames"] >= 195, seen
        await browser.close()
