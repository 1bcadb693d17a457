"""AudioSpecificConfig of MPEG-4 audio, as an SDP carries it in ``config=``.

``type(5) | rate index(4) [rate(24) if 15] | channels(4) | frame length flag(1) ...``; an object
type of 31 has six more bits; types 5 and 29 (SBR, PS) carry a second rate and the core type.

Source: ISO/IEC 14496-3:2019 section 1.6.2.
"""

from dataclasses import dataclass

_RATES_HZ = (
    96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350,
)  # fmt: skip
_CHANNELS = (0, 1, 2, 3, 4, 5, 6, 8)
_SBR = 5
_PS = 29


@dataclass(frozen=True, slots=True)
class AudioConfig:
    """What an AudioSpecificConfig says.

    Attributes:
        object_type: Audio object type as signalled first: 2 is AAC-LC, 5 HE-AAC.
        rate_hz: Sampling rate of the output.
        channels: Number of channels, 0 if an inner element says.
        frame_samples: Samples of one access unit at `rate_hz`.
    """

    object_type: int
    rate_hz: int
    channels: int
    frame_samples: int


class _Bits:
    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = len(data) * 8

    def take(self, count: int) -> int:
        if count > self._left:
            raise ValueError("AudioSpecificConfig is cut off")
        self._left -= count
        return self._value >> self._left & ((1 << count) - 1)

    def object_type(self) -> int:
        kind = self.take(5)
        return 32 + self.take(6) if kind == 31 else kind

    def rate_hz(self) -> int:
        index = self.take(4)
        if index == 15:
            return self.take(24)
        if index >= len(_RATES_HZ):
            raise ValueError(f"sampling rate index {index} is reserved")
        return _RATES_HZ[index]


def parse(config: bytes) -> AudioConfig:
    """Read an AudioSpecificConfig.

    Raises:
        ValueError: It is cut off or uses reserved values.
    """
    bits = _Bits(config)
    signalled = bits.object_type()
    rate_hz = bits.rate_hz()
    channels = bits.take(4)
    if channels >= len(_CHANNELS):
        raise ValueError(f"channel configuration {channels} is reserved")
    doubled = False
    kind = signalled
    if signalled in {_SBR, _PS}:
        output_hz = bits.rate_hz()
        doubled = output_hz == 2 * rate_hz
        rate_hz = output_hz
        kind = bits.object_type()
    frame_samples = 1024
    if kind in {1, 2, 3, 4, 6, 7, 17, 19, 20, 22} and bits.take(1):
        frame_samples = 960
    if not rate_hz:
        raise ValueError("sampling rate is 0")
    return AudioConfig(signalled, rate_hz, _CHANNELS[channels], frame_samples << doubled)


@dataclass(frozen=True, slots=True)
class Adts:
    """What stands before each access unit where no AudioSpecificConfig comes along.

    Attributes:
        profile: Audio object type less 1: 1 is AAC-LC.
        rate_index: Place of the core's sampling rate in the table of rates.
        channels: Channel configuration, 1-7.
    """

    profile: int
    rate_index: int
    channels: int

    def header(self, size_bytes: int) -> bytes:
        """Return the header of an access unit, empty if it is too long for one.

        ``0xFFF | 0 00 1 | profile(2) rate(4) 0 channels(3) 0000 | length(13) fullness(11) 00``
        """
        length = size_bytes + 7
        if length >= 1 << 13:
            return b""
        bits = 0xFFF1 << 40 | self.profile << 38 | self.rate_index << 34 | self.channels << 30
        return (bits | length << 13 | 0x7FF << 2).to_bytes(7, "big")


def adts(config: bytes) -> Adts:
    """Say in ADTS what an AudioSpecificConfig says; SBR and PS go unsaid, and are found.

    Raises:
        ValueError: It is cut off, or ADTS has no word for it.

    Source:
        ISO/IEC 14496-3:2019 section 1.A.3.2.
    """
    bits = _Bits(config)
    kind = bits.object_type()
    rate_hz = bits.rate_hz()
    channels = bits.take(4)
    if kind in {_SBR, _PS}:
        bits.rate_hz()
        kind = bits.object_type()
    if not 1 <= kind <= 4 or not 1 <= channels <= 7 or bits.take(1) or rate_hz not in _RATES_HZ:
        raise ValueError(f"ADTS cannot say object type {kind}, {rate_hz} Hz, {channels} channels")
    return Adts(kind - 1, _RATES_HZ.index(rate_hz), channels)


def plain_config(rate_hz: int, channels: int) -> bytes:
    """Return the AudioSpecificConfig of AAC-LC, empty if it cannot say rate or channels."""
    if rate_hz not in _RATES_HZ or channels not in _CHANNELS[1:]:
        return b""
    index, layout = _RATES_HZ.index(rate_hz), _CHANNELS.index(channels)
    return (2 << 11 | index << 7 | layout << 3).to_bytes(2, "big")


def codec_string(config: bytes) -> str:
    """RFC 6381 name, such as ``mp4a.40.2``.

    Raises:
        ValueError: `config` is not usable.
    """
    return f"mp4a.40.{parse(config).object_type}"
