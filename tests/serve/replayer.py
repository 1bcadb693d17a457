"""A reader of recordings that shows what is on the wire: ONVIF replay, packet by packet."""

import asyncio
import contextlib
import ssl
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from nvr.wire.digest import Login


@dataclass
class Unit:
    """One access unit.

    Attributes:
        at_us: UTC microseconds, as its header extension says.
        flags: ``C E D T``, the high four bits.
        cseq: Low byte of the PLAY it answers.
        time_90k: RTP time.
        nals: Put together again.
        whole: Its last packet came.
    """

    at_us: int
    flags: str
    cseq: int
    time_90k: int
    nals: list[bytes] = field(default_factory=list)
    whole: bool = False


@dataclass
class Sound:
    """A packet of sound: when it was taken, its RTP time and what it holds."""

    at_us: int
    time: int
    payload: bytes


class Replayer:
    """Channel 0 are pictures, 2 is sound, 1 and 3 are reports."""

    def __init__(self, reader, writer, url: str, user: str, secret: str) -> None:
        self.reader, self.writer, self.url = reader, writer, url
        self.login, self.cseq, self.session = Login(user, secret), 0, ""
        self.units: list[Unit] = []
        self.sounds: list[Sound] = []
        self.reports: list[tuple[int, bytes]] = []

    async def ask(self, method: str, url: str = "", **headers: str):
        """Ask until it is not a challenge; returns status, headers, body."""
        url = url or self.url
        for _ in range(3):
            self.cseq += 1
            lines = [f"{method} {url} RTSP/1.0", f"CSeq: {self.cseq}"]
            if self.session:
                lines.append(f"Session: {self.session}")
            if signed := self.login.authorization(method, url, "c"):
                lines.append(f"Authorization: {signed}")
            lines += [f"{key.replace('_', '-')}: {value}" for key, value in headers.items()]
            self.writer.write("\r\n".join([*lines, "", ""]).encode())
            status, told, body = await self._answer()
            if status != 401 or not self.login.challenged(told.get("www-authenticate", [])):
                break
        if "session" in told:
            self.session = told["session"][0].partition(";")[0]
        return status, {key: value[0] for key, value in told.items()}, body

    async def _answer(self):
        while (first := await self.reader.readexactly(1)) == b"$":
            await self._packet()
        head = first + await self.reader.readuntil(b"\r\n\r\n")
        start, *lines = head.decode().split("\r\n")
        told: dict[str, list[str]] = {}
        for line in lines:
            key, _, value = line.partition(":")
            if key:
                told.setdefault(key.lower(), []).append(value.strip())
        body = await self.reader.readexactly(int(told.get("content-length", ["0"])[0]))
        return int(start.split(" ")[1]), told, body

    async def _packet(self) -> None:
        channel, size = struct.unpack(">BH", await self.reader.readexactly(3))
        data = await self.reader.readexactly(size)
        if channel % 2:
            self.reports.append((channel, data))
            return
        (at,) = struct.unpack_from(">I", data, 4)
        payload = data[12:]
        if data[0] & 0x10:
            kind, words, seconds, rest, flags, cseq, _ = struct.unpack_from(">HHIIBBH", data, 12)
            assert (kind, words) == (0xABAC, 3)
            at_us = (seconds - 2_208_988_800) * 1_000_000 + round(rest * 1e6 / (1 << 32))
            said = "".join(name for n, name in enumerate("CEDT") if flags >> (7 - n) & 1)
            if channel == 2:
                self.sounds.append(Sound(at_us, at, data[28:]))
                return
            self.units.append(Unit(at_us, said, cseq, at))
            payload = data[28:]
        unit = self.units[-1]
        assert unit.time_90k == at  # each access unit begins with an extension
        unit.whole = bool(data[1] & 0x80)
        if payload[0] & 0x1F == 28:
            if payload[1] & 0x80:
                unit.nals.append(bytes((payload[0] & 0xE0 | payload[1] & 0x1F,)))
            unit.nals[-1] += payload[2:]
        else:
            unit.nals.append(payload)
        unit.whole = data[1] >> 7 == 1

    async def until(self, done) -> None:
        """Take packets until `done` of the units."""
        async with asyncio.timeout(60):
            while not done(self.units):
                assert await self.reader.readexactly(1) == b"$"
                await self._packet()


@contextlib.asynccontextmanager
async def replayer(
    port: int, path: str, user: str, secret: str, *, tls: bool = False
) -> AsyncIterator[Replayer]:
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    scheme = "rtsps" if tls else "rtsp"
    try:
        yield Replayer(reader, writer, f"{scheme}://127.0.0.1:{port}/{path}", user, secret)
    finally:
        if tls:  # its end would wait for what nobody read
            writer.transport.abort()
        writer.close()
