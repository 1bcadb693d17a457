"""Decoders that a hostile stream got the better of, one for each word in the caption."""

import ctypes

import msgspec

from nvr.codec.confined import serve
from nvr.export import burner
from nvr.export.picture import Begin, Begun, Pictures, Request, Units
from nvr.overlay.font import Font

_REQUESTS = msgspec.msgpack.Decoder(Request)
font = Font()
burner._warm(font)
films: list[burner.Film] = []
words: list[str] = []


def answer(message: bytes) -> bytes:
    request = _REQUESTS.decode(message)
    if isinstance(request, Begin):
        films[:] = [burner.Film(font, request)]
        if request.codec == "h265":  # the only thing that can be told it so early
            return msgspec.msgpack.encode(Begun(b"\x67", b"\x68"))
        return msgspec.msgpack.encode(Begun(films[0].sps, films[0].pps))
    assert isinstance(request, Units)
    words[:] = request.look.lines if request.look else words
    done = films[0].add(request)
    word, pictures = words[0], done.pictures
    if word == "crash":
        ctypes.string_at(0)
    elif word == "hang":
        while True:
            pass
    elif word == "text":
        return b"no msgpack"
    elif word == "again":
        done = Pictures(pictures + pictures)
    elif word == "future":
        done = Pictures([(data, at + (1 << 40), key) for data, at, key in pictures])
    elif word == "empty":
        done = Pictures([(b"", at, key) for data, at, key in pictures])
    elif word == "begun":
        return msgspec.msgpack.encode(Begun(b"", b""))
    elif word == "nothing":
        done = Pictures([])
    return msgspec.msgpack.encode(done)


if __name__ == "__main__":
    serve(answer)
