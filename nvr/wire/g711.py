"""G.711: samples from one law to the other, for who speaks A-law to a camera that hears mu-law.

``law.translate(PCMA_TO_PCMU)`` does it. Where two values of one law fall on one of the other, a
little is lost; ITU-T says how little.

Source: ITU-T G.711 (11/88), tables 1a to 2b.
"""

from typing import Final

_BIAS = 132
_MOST = 32_635


def _from_pcma(code: int) -> int:
    code ^= 0x55
    exponent, rest = code >> 4 & 7, (code & 15) << 4
    size = (rest + 264) << (exponent - 1) if exponent else rest + 8
    return size if code & 0x80 else -size


def _to_pcma(value: int) -> int:
    size = min(abs(value), 32_767) >> 3
    exponent = max(0, size.bit_length() - 5)
    code = exponent << 4 | (size >> max(exponent, 1) & 15)
    return (code | (0x80 if value >= 0 else 0)) ^ 0x55


def _from_pcmu(code: int) -> int:
    code ^= 0xFF
    size = ((((code & 15) << 3) + _BIAS) << (code >> 4 & 7)) - _BIAS
    return -size if code & 0x80 else size


def _to_pcmu(value: int) -> int:
    size = min(abs(value), _MOST) + _BIAS
    exponent = size.bit_length() - 8
    code = exponent << 4 | (size >> (exponent + 3) & 15)
    return (code | (0x80 if value < 0 else 0)) ^ 0xFF


PCMA_TO_PCMU: Final = bytes(_to_pcmu(_from_pcma(code)) for code in range(256))
PCMU_TO_PCMA: Final = bytes(_to_pcma(_from_pcmu(code)) for code in range(256))
