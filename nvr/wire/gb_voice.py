"""What a platform of GB/T 28181 says: G.711 in RTP, by UDP or behind two bytes of length.

Source: RFC 3550 section 5.1; RFC 3551 section 4.5.14; RFC 4571.
"""

from dataclasses import dataclass
from typing import Final, Literal

from nvr.wire.g711 import PCMA_TO_PCMU, PCMU_TO_PCMA

Law = Literal["pcma", "pcmu"]
LAWS: Final[dict[int, Law]] = {0: "pcmu", 8: "pcma"}
_HEAD: Final = 12
_OTHER: Final = {"pcma": PCMA_TO_PCMU, "pcmu": PCMU_TO_PCMA}


@dataclass(frozen=True, slots=True)
class Said:
    """Samples of one packet.

    Attributes:
        law: Of which law.
        samples: 8,000 a second, one byte each.
    """

    law: Law
    samples: bytes

    def of(self, law: Law) -> bytes:
        """The same of the law that somebody hears."""
        return self.samples if law == self.law else self.samples.translate(_OTHER[self.law])


class Ear:
    """Takes packets apart; what comes late or is none is left out.

    Args:
        framed: They come behind their lengths, from a stream.
    """

    def __init__(self, *, framed: bool) -> None:
        self._framed = framed
        self._rest = b""
        self._newest: int | None = None

    def feed(self, data: bytes) -> list[Said]:
        """Take what came: one datagram, or any piece of a stream."""
        if not self._framed:
            said = self._packet(data)
            return [said] if said else []
        data, found = self._rest + data, []
        while len(data) >= 2 and len(data) >= 2 + (size := int.from_bytes(data[:2], "big")):
            if said := self._packet(data[2 : 2 + size]):
                found.append(said)
            data = data[2 + size :]
        self._rest = data
        return found

    def _packet(self, packet: bytes) -> Said | None:
        if len(packet) < _HEAD or packet[0] >> 6 != 2:
            return None
        law = LAWS.get(packet[1] & 127)
        begin, end = _HEAD + (packet[0] & 15) * 4, len(packet)
        if packet[0] & 0x10:
            begin += 4 + int.from_bytes(packet[begin + 2 : begin + 4], "big") * 4
        if packet[0] & 0x20:
            end -= packet[-1]
        sequence = int.from_bytes(packet[2:4], "big")
        late = self._newest is not None and (sequence - self._newest - 1) & 0xFFFF > 0x8000
        if law is None or late or begin >= end:
            return None
        self._newest = sequence
        return Said(law, packet[begin:end])
