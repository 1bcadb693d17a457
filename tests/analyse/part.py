"""Parts as the ingest thread makes them, of pictures that were coded here."""

import struct

from nvr.media.part import Part


def box(kind: bytes, *body: bytes) -> bytes:
    data = b"".join(body)
    return struct.pack(">I4s", 8 + len(data), kind) + data


def part(stream: str, config: tuple, units: list, each_90k: int = 9000) -> Part:
    """Make a part of coded pictures, each with its time and whether it is a key frame."""

    def moof(offset: int) -> bytes:
        entries = b"".join(struct.pack(">II", each_90k, len(data)) for data, _, _ in units)
        trun = struct.pack(">IIi", 0x301, len(units), offset) + entries
        traf = box(
            b"traf", box(b"tfhd", struct.pack(">II", 0x20000, 1)),
            box(b"tfdt", struct.pack(">IQ", 1 << 24, units[0][1])), box(b"trun", trun),
        )  # fmt: skip
        return box(b"moof", box(b"mfhd", bytes(8)), traf)

    head = moof(len(moof(0)) + 8)
    mdat = box(b"mdat", *[data for data, _, _ in units])
    at_us = 1_700_000_000_000_000 + units[0][1] * 100 // 9
    return Part(
        stream, 1, config, head, mdat, (), 20, units[0][1], each_90k * len(units), at_us, 10,
        units[0][2], len(units), 0,
    )  # fmt: skip
