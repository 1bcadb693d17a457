"""H.264 parameter sets and what MP4 makes of them.

``avcC``: ``1 | profile | constraints | level | 0xFC + 3 | 0xE0 + SPS count | (length(16), SPS)* |
PPS count | (length(16), PPS)*`` and, for the High profiles, ``0xFC + chroma | 0xF8 + luma - 8 |
0xF8 + colour - 8 | 0``.

Source: ITU-T H.264 (08/2021) section 7.3; ISO/IEC 14496-15:2022 section 5.3.3.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from nvr import _native

SLICE_IDR = 5
SEI = 6
SPS = 7
PPS = 8
_WITH_CHROMA = frozenset({100, 110, 122, 144, 244})


def nal_type(nal: bytes) -> int:
    """Type of a NAL unit, 0 for an empty one."""
    return nal[0] & 31 if nal else 0


@dataclass(frozen=True, slots=True)
class Sps:
    """What a sequence parameter set says.

    Attributes:
        profile: ``profile_idc``.
        constraints: The byte of constraint flags.
        level: ``level_idc``.
        chroma_format: 0 grey, 1 4:2:0, 2 4:2:2, 3 4:4:4.
        luma_bits: Bits of a luma sample.
        chroma_bits: Bits of a chroma sample.
        width_px: Width after cropping.
        height_px: Height after cropping.
        reorder: Pictures that may be shown later than decoded, -1 if it does not say.
        frame_90k: Duration of a frame, 0 if it does not say.
        aspect_wide: Width of a pixel, for `aspect_high`; both 1 if it does not say.
        aspect_high: Its height.
    """

    profile: int
    constraints: int
    level: int
    chroma_format: int
    luma_bits: int
    chroma_bits: int
    width_px: int
    height_px: int
    reorder: int
    frame_90k: int
    aspect_wide: int
    aspect_high: int


def parse_sps(nal: bytes) -> Sps:
    """Read an SPS, NAL header included, start code excluded.

    Raises:
        ValueError: It is not a usable SPS.
    """
    return Sps(*_native.h264_sps(nal))


def avcc(parameter_sets: Iterable[bytes]) -> bytes:
    """Build the ``avcC`` record from SPS and PPS NAL units; others are left out.

    Raises:
        ValueError: An SPS or a PPS is missing or unusable.
    """
    sets = [bytes(nal) for nal in parameter_sets]
    sps = [nal for nal in sets if nal_type(nal) == SPS][:31]
    pps = [nal for nal in sets if nal_type(nal) == PPS][:255]
    if not sps or not pps:
        raise ValueError("an SPS and a PPS are needed")
    first = parse_sps(sps[0])
    record = bytearray((1, first.profile, first.constraints, first.level, 0xFF, 0xE0 | len(sps)))
    for nal in sps:
        record += len(nal).to_bytes(2, "big") + nal
    record.append(len(pps))
    for nal in pps:
        record += len(nal).to_bytes(2, "big") + nal
    if first.profile in _WITH_CHROMA:
        record += bytes(
            (
                0xFC | first.chroma_format,
                0xF8 | first.luma_bits - 8,
                0xF8 | first.chroma_bits - 8,
                0,
            )
        )
    return bytes(record)


def pixel_aspect(record: bytes) -> tuple[int, int]:
    """Width and height of a pixel as an ``avcC`` record says; of one that cannot be read, 1, 1."""
    try:
        sps = parse_sps(next(nal for nal in parameter_sets(record) if nal_type(nal) == SPS))
    except (ValueError, StopIteration):
        return 1, 1
    return sps.aspect_wide, sps.aspect_high


def codec_string(record: bytes) -> str:
    """RFC 6381 name of an ``avcC`` record, such as ``avc1.42c01f``.

    Raises:
        ValueError: The record is too short.
    """
    if len(record) < 7:
        raise ValueError("not an avcC record")
    return f"avc1.{record[1:4].hex()}"


def parameter_sets(record: bytes) -> tuple[bytes, ...]:
    """The SPS and PPS inside an ``avcC`` record.

    Raises:
        ValueError: The record is cut off.
    """
    nals: list[bytes] = []
    at = 5
    for mask in (31, 255):
        if at >= len(record):
            raise ValueError("avcC record is cut off")
        count = record[at] & mask
        at += 1
        for _ in range(count):
            end = at + 2 + int.from_bytes(record[at : at + 2], "big")
            if at + 2 > len(record) or end > len(record):
                raise ValueError("avcC record is cut off")
            nals.append(record[at + 2 : end])
            at = end
    return tuple(nals)
