"""Cameras that are none: each listens on 127.0.0.1 and does one thing wrong."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\n<html"
PICTURE = {
    "mpeg4": "m=video 0 RTP/AVP 96\r\na=rtpmap:96 MP4V-ES/90000\r\na=control:track1\r\n",
    "odd": "m=video 0 RTP/AVP 96\r\na=rtpmap:96 X-MAGIC/90000\r\na=control:track1\r\n",
    "empty": "",
    "rot": "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:track1\r\n",
}


async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A web server on the camera's port."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(PAGE)


async def noise(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(os.urandom(4096))
        await writer.drain()
        await asyncio.sleep(0.01)


async def mute(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    while await reader.read(4096):
        pass


async def hangs_up(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    pass


def describes(kind: str) -> Answer:
    """Return a camera that speaks RTSP, offers a `kind` of picture and plays random bytes."""
    sdp = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n" + PICTURE[kind]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            request = (await reader.readuntil(b"\r\n\r\n")).decode()
            method = request.partition(" ")[0]
            number = request.lower().partition("cseq:")[2].partition("\r")[0].strip()
            head, body = f"RTSP/1.0 200 OK\r\nCSeq: {number}\r\n", ""
            if method == "DESCRIBE":
                body = sdp
                head += f"Content-Type: application/sdp\r\nContent-Length: {len(sdp)}\r\n"
            if method == "SETUP":
                head += "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n"
            if method == "PLAY":
                head += "Session: 1\r\n"
            writer.write(f"{head}\r\n{body}".encode())
            if method == "PLAY":
                await noise(reader, writer)

    return answer


ALL: dict[str, Answer] = {
    "page": page,
    "noise": noise,
    "mute": mute,
    "hangs-up": hangs_up,
    **{kind: describes(kind) for kind in PICTURE},
}


@asynccontextmanager
async def liars() -> AsyncIterator[dict[str, int]]:
    """Run one of each kind; gives their ports by name."""

    def serve(answer: Answer) -> Answer:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(OSError, asyncio.IncompleteReadError):
                await answer(reader, writer)
            writer.close()

        return connected

    async with AsyncExitStack() as stack:
        ports = {}
        for name, answer in ALL.items():
            server = await asyncio.start_server(serve(answer), "127.0.0.1", 0)
            stack.callback(server.close)
            ports[name] = server.sockets[0].getsockname()[1]
        yield ports
