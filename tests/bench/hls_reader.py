"""Many players of one HLS stream: each waits for what comes, fetches it, and throws it away.

usage: python -m tests.bench.hls_reader PORT CAMERA READERS parts|segments USER PASSWORD

Prints "ready" when all of them have a picture. Each line on standard input prints the counters
since the line before as one JSON object; the end of standard input ends it.
"""

import asyncio
import contextlib
import json
import re
import ssl
import sys
from dataclasses import dataclass

import aiohttp

_SEQUENCE = re.compile(r"#EXT-X-MEDIA-SEQUENCE:(\d+)")
_PART = re.compile(r'#EXT-X-PART:[^\n]*URI="main-(\d+)-(\d+)\.mp4"')
_SEGMENT = re.compile(r"^main-(\d+)\.mp4$", re.MULTILINE)
_TARGET = re.compile(r"#EXT-X-TARGETDURATION:(\d+)")


@dataclass
class Seen:
    """What one player got since it was asked last."""

    bytes: int = 0
    pieces: int = 0
    gaps: int = 0


class Player:
    """One player with one connection."""

    def __init__(self, url: str, headers: dict[str, str], tls: ssl.SSLContext) -> None:
        self.url, self.headers, self.tls = url, headers, tls
        self.seen = Seen()
        self.playing = asyncio.Event()

    async def run(self, *, parts: bool) -> None:
        """Play until cancelled."""
        connector = aiohttp.TCPConnector(ssl=self.tls, limit=1)
        async with aiohttp.ClientSession(connector=connector, headers=self.headers) as session:
            self.session = session
            text = (await self._get("main.m3u8")).decode()
            await (self._by_part(text) if parts else self._by_segment(text))

    async def _get(self, file: str) -> bytes:
        async with self.session.get(self.url + file) as reply:
            body = await reply.read()
            if reply.status != 200:
                raise RuntimeError(f"{file}: {reply.status} {body[:200]!r}")
            return body

    async def _by_part(self, text: str) -> None:
        # What follows the last part of a segment is the first of the next.
        whole = [(int(n), 63) for n in _SEGMENT.findall(text)]
        at = max([(int(n), int(part)) for n, part in _PART.findall(text)] or whole)
        while True:
            number, part = at
            text = (await self._get(f"main.m3u8?_HLS_msn={number}&_HLS_part={part + 1}")).decode()
            listed = sorted((int(n), int(part)) for n, part in _PART.findall(text))
            fresh = [one for one in listed if one > at]
            for one in fresh:
                if one not in {(at[0], at[1] + 1), (at[0] + 1, 0)}:
                    self.seen.gaps += 1
                await self._take(f"main-{one[0]}-{one[1]}.mp4")
                at = one

    async def _by_segment(self, text: str) -> None:
        at = int(_SEGMENT.findall(text)[-1]) - 1
        while True:
            found = [int(n) for n in _SEGMENT.findall(text) if int(n) > at]
            for one in found:
                self.seen.gaps += one != at + 1
                await self._take(f"main-{one}.mp4")
                at = one
            target_s = int(_TARGET.findall(text)[0])
            await asyncio.sleep(target_s if found else target_s / 2)
            text = (await self._get("main.m3u8")).decode()

    async def _take(self, file: str) -> None:
        self.seen.bytes += len(await self._get(file))
        self.seen.pieces += 1
        self.playing.set()


async def main(port: str, camera: str, readers: str, kind: str, user: str, password: str) -> None:
    """Run the players."""
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    headers = {"Authorization": aiohttp.encode_basic_auth(user, password)}
    url = f"https://127.0.0.1:{port}/hls/{camera}/live/"
    players = [Player(url, headers, tls) for _ in range(int(readers))]
    tasks = [asyncio.create_task(one.run(parts=kind == "parts")) for one in players]
    waiting = asyncio.gather(*(one.playing.wait() for one in players))
    await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        if task.done():
            task.result()
    print("ready", flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        seen = [one.seen for one in players]
        for one in players:
            one.seen = Seen()
        told = {
            "least_bytes": min(one.bytes for one in seen),
            "least_pieces": min(one.pieces for one in seen),
            "gaps": sum(one.gaps for one in seen),
            "closed": sum(task.done() for task in tasks),
        }
        print(json.dumps(told), flush=True)
    for task in tasks:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
