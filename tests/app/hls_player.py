"""A player of HLS for tests: reads playlists by the book, and says where they break it."""

import asyncio
import re
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urljoin

import aiohttp

_ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"]*"|[^",]*)')


@dataclass
class Piece:
    uri: str
    duration_s: float
    independent: bool = False


@dataclass
class Segment:
    number: int
    map: str
    uri: str = ""
    duration_s: float = 0.0
    at: datetime | None = None
    fresh: bool = False
    parts: list[Piece] = field(default_factory=list)


@dataclass
class Playlist:
    """A media playlist as read."""

    url: str
    segments: list[Segment] = field(default_factory=list)
    target_s: int = 0
    part_s: float = 0.0
    hold_back_s: float = 0.0
    blocks: bool = False
    hint: str = ""
    ended: bool = False
    independent: bool = False
    discontinuities: int = 0

    @property
    def whole(self) -> list[Segment]:
        return [one for one in self.segments if one.uri]

    @property
    def next(self) -> tuple[int, int]:
        """Media sequence number and part that comes next."""
        last = self.segments[-1]
        return (last.number + 1, 0) if last.uri else (last.number, len(last.parts))

    def faults(self, *, even: bool = True) -> list[str]:
        """What RFC 8216 and its second edition forbid; of a camera out of step if not `even`."""
        found = []
        for one in self.whole:
            if round(one.duration_s) > self.target_s:
                found.append(f"{one.uri} lasts longer than the target duration")
            inside_s = sum(part.duration_s for part in one.parts)
            if one.parts and abs(inside_s - one.duration_s) > 0.01:
                found.append(f"the parts of {one.uri} are not all of it")
            if one.parts and self.independent and not one.parts[0].independent:
                found.append(f"{one.uri} does not begin with a key frame")
        for one in self.segments:
            for place, part in enumerate(one.parts):
                last = place + 1 == len(one.parts)
                if part.duration_s > self.part_s + 1e-4:
                    found.append(f"{part.uri} lasts longer than the part target")
                if even and part.duration_s < 0.85 * self.part_s and not last:
                    found.append(f"{part.uri} is too short: {part.duration_s} of {self.part_s}")
            if not one.map:
                found.append(f"{one.number} has no map")
        if self.part_s and self.hold_back_s < 2 * self.part_s:
            found.append("part hold back is too short")
        return found


def attributes(line: str) -> dict[str, str]:
    return {key: value.strip('"') for key, value in _ATTRIBUTE.findall(line.partition(":")[2])}


def read(text: str, url: str) -> Playlist:
    """Read a media playlist."""
    lines = text.splitlines()
    assert lines[0] == "#EXTM3U"
    found = Playlist(url)
    number, init, at, fresh, parts, duration = 0, "", None, False, [], 0.0
    for line in lines[1:]:
        if line.startswith("#EXT-X-TARGETDURATION:"):
            found.target_s = int(line.partition(":")[2])
        elif line.startswith("#EXT-X-PART-INF:"):
            found.part_s = float(attributes(line)["PART-TARGET"])
        elif line.startswith("#EXT-X-SERVER-CONTROL:"):
            said = attributes(line)
            found.blocks = said["CAN-BLOCK-RELOAD"] == "YES"
            found.hold_back_s = float(said["PART-HOLD-BACK"])
        elif line.startswith("#EXT-X-MEDIA-SEQUENCE:"):
            number = int(line.partition(":")[2])
        elif line.startswith("#EXT-X-DISCONTINUITY-SEQUENCE:"):
            found.discontinuities = int(line.partition(":")[2])
        elif line == "#EXT-X-DISCONTINUITY":
            fresh = True
        elif line == "#EXT-X-INDEPENDENT-SEGMENTS":
            found.independent = True
        elif line.startswith("#EXT-X-MAP:"):
            init = urljoin(url, attributes(line)["URI"])
        elif line.startswith("#EXT-X-PROGRAM-DATE-TIME:"):
            at = datetime.fromisoformat(line.partition(":")[2])
        elif line.startswith("#EXT-X-PART:"):
            said = attributes(line)
            independent = said.get("INDEPENDENT") == "YES"
            uri = urljoin(url, said["URI"])
            parts.append(Piece(uri, float(said["DURATION"]), independent))
        elif line.startswith("#EXT-X-PRELOAD-HINT:"):
            found.hint = urljoin(url, attributes(line)["URI"])
        elif line.startswith("#EXTINF:"):
            duration = float(line.partition(":")[2].rstrip(","))
        elif line == "#EXT-X-ENDLIST":
            found.ended = True
        elif line and not line.startswith("#"):
            uri = urljoin(url, line)
            found.segments.append(Segment(number, init, uri, duration, at, fresh, parts))
            number, at, fresh, parts = number + 1, None, False, []
    if parts or at:
        found.segments.append(Segment(number, init, "", 0.0, at, fresh, parts))
    return found


class Player:
    """Fetches, and keeps what it fetched."""

    def __init__(self, session: aiohttp.ClientSession, auth: str = ""):
        self.session = session
        self.headers = {"Authorization": auth} if auth else {}

    async def get(self, url: str) -> bytes:
        async with self.session.get(url, headers=self.headers) as reply:
            body = await reply.read()
            assert reply.status == 200, (url, reply.status, body[:300])
            return body

    async def playlist(self, url: str) -> Playlist:
        return read((await self.get(url)).decode(), url)

    async def after(self, seen: Playlist) -> Playlist:
        """Reload, and wait for the next part."""
        number, part = seen.next
        base = seen.url.partition("?")[0]
        return await self.playlist(f"{base}?_HLS_msn={number}&_HLS_part={part}")

    async def media(self, found: Playlist) -> list[tuple[bytes, bytes]]:
        """Of each segment that is whole: ``ftyp moov`` and ``moof mdat``."""
        inits = {one.map: await self.get(one.map) for one in found.whole}
        bodies = await asyncio.gather(*(self.get(one.uri) for one in found.whole))
        return [(inits[one.map], body) for one, body in zip(found.whole, bodies, strict=True)]
