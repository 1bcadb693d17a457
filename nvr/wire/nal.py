"""NAL units in a sample of MP4: each with its length before it (ISO 14496-15)."""

from collections.abc import Iterator


def nals(sample: bytes, length_bytes: int = 4) -> Iterator[bytes]:
    """Yield the NAL units of a sample as MP4 has it, up to where it does not make sense."""
    at = 0
    while at + length_bytes < len(sample):
        size = int.from_bytes(sample[at : at + length_bytes], "big")
        at += length_bytes
        if size:
            yield sample[at : at + size]
        at += size
