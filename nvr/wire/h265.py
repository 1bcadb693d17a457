"""H.265 parameter sets and what MP4 makes of them.

``hvcC``: ``1 | space(2) tier(1) profile(5) | compatibility(32) | constraints(48) | level |
0xF000 | 0xFC | 0xFC + chroma | 0xF8 + luma - 8 | 0xF8 + colour - 8 | frame rate(16) = 0 |
layers and nesting and 3 | arrays | (0x80 + type, count(16), (length(16), NAL)*)*``.

Source: ITU-T H.265 (08/2021) section 7.3; ISO/IEC 14496-15:2022 section 8.3.3 and annex E.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from nvr import _native

VPS = 32
SPS = 33
PPS = 34
_FIXED_BYTES = 23


def nal_type(nal: bytes) -> int:
    """Type of a NAL unit, 63 (unspecified) for one without a header."""
    return nal[0] >> 1 & 63 if len(nal) >= 2 else 63


@dataclass(frozen=True, slots=True)
class Sps:
    """What a sequence parameter set says.

    Attributes:
        profile: ``general_profile_idc``.
        space_and_tier: ``general_profile_space`` and ``general_tier_flag``, 3 bits.
        level: ``general_level_idc``, 30 times the level.
        compatibility: The 32 compatibility flags, first one highest.
        constraints: The six bytes of constraint flags.
        chroma_format: 0 grey, 1 4:2:0, 2 4:2:2, 3 4:4:4.
        luma_bits: Bits of a luma sample.
        chroma_bits: Bits of a chroma sample.
        width_px: Width after cropping.
        height_px: Height after cropping.
        reorder: Pictures that may be shown later than decoded.
        frame_90k: Duration of a frame, 0 if it does not say.
        temporal_layers: Number of temporal sub-layers.
        temporal_nested: ``sps_temporal_id_nesting_flag``.
        aspect_wide: Width of a pixel, for `aspect_high`; both 1 if it does not say.
        aspect_high: Its height.
    """

    profile: int
    space_and_tier: int
    level: int
    compatibility: int
    constraints: bytes
    chroma_format: int
    luma_bits: int
    chroma_bits: int
    width_px: int
    height_px: int
    reorder: int
    frame_90k: int
    temporal_layers: int
    temporal_nested: int
    aspect_wide: int
    aspect_high: int


def parse_sps(nal: bytes) -> Sps:
    """Read an SPS, NAL header included, start code excluded.

    Raises:
        ValueError: It is not a usable SPS.
    """
    return Sps(*_native.h265_sps(nal))


def hvcc(parameter_sets: Iterable[bytes]) -> bytes:
    """Build the ``hvcC`` record from VPS, SPS and PPS NAL units; others are left out.

    Raises:
        ValueError: One of the three is missing, or the SPS is unusable.
    """
    sets = [bytes(nal) for nal in parameter_sets]
    arrays = [(kind, [nal for nal in sets if nal_type(nal) == kind]) for kind in (VPS, SPS, PPS)]
    if not all(nals for _, nals in arrays):
        raise ValueError("a VPS, an SPS and a PPS are needed")
    sps = parse_sps(arrays[1][1][0])
    record = bytearray((1, sps.space_and_tier << 5 | sps.profile))
    record += sps.compatibility.to_bytes(4, "big") + sps.constraints
    record += bytes((sps.level, 0xF0, 0, 0xFC, 0xFC | sps.chroma_format))
    record += bytes((0xF8 | sps.luma_bits - 8, 0xF8 | sps.chroma_bits - 8, 0, 0))
    record += bytes((sps.temporal_layers << 3 | sps.temporal_nested << 2 | 3, len(arrays)))
    for kind, nals in arrays:
        record.append(0x80 | kind)
        record += len(nals).to_bytes(2, "big")
        for nal in nals:
            record += len(nal).to_bytes(2, "big") + nal
    return bytes(record)


def pixel_aspect(record: bytes) -> tuple[int, int]:
    """Width and height of a pixel as an ``hvcC`` record says; of one that cannot be read, 1, 1."""
    try:
        sps = parse_sps(next(nal for nal in parameter_sets(record) if nal_type(nal) == SPS))
    except (ValueError, StopIteration):
        return 1, 1
    return sps.aspect_wide, sps.aspect_high


def codec_string(record: bytes) -> str:
    """RFC 6381 name of an ``hvcC`` record, such as ``hvc1.1.6.L93.B0``.

    Raises:
        ValueError: The record is too short.
    """
    if len(record) < _FIXED_BYTES:
        raise ValueError("not an hvcC record")
    space = ("", "A", "B", "C")[record[1] >> 6]
    tier = "H" if record[1] & 0x20 else "L"
    flags = f"{int.from_bytes(record[2:6], 'big'):032b}"[::-1]
    constraints = record[6:12].rstrip(b"\0")
    dotted = "".join(f".{byte:X}" for byte in constraints)
    return f"hvc1.{space}{record[1] & 31}.{int(flags, 2):X}.{tier}{record[12]}{dotted}"


def parameter_sets(record: bytes) -> tuple[bytes, ...]:
    """The NAL units inside an ``hvcC`` record.

    Raises:
        ValueError: The record is cut off.
    """
    if len(record) < _FIXED_BYTES:
        raise ValueError("not an hvcC record")
    nals: list[bytes] = []
    at = _FIXED_BYTES
    for _ in range(record[22]):
        count = int.from_bytes(record[at + 1 : at + 3], "big")
        if at + 3 > len(record):
            raise ValueError("hvcC record is cut off")
        at += 3
        for _ in range(count):
            end = at + 2 + int.from_bytes(record[at : at + 2], "big")
            if at + 2 > len(record) or end > len(record):
                raise ValueError("hvcC record is cut off")
            nals.append(record[at + 2 : end])
            at = end
    return tuple(nals)
