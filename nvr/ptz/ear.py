"""Makes frames of what comes over a line on which somebody else talks.

It may be Pelco-D or -P, at a rate that may be the wrong one, with noise.

What is between one frame and a moved head:

* Nothing counts before `SETTLE` whole frames of one protocol came and not much else; a wrong rate
  or another protocol gives none.
* Checksum, address, and what a controller could mean (`pelco_d.plausible`).
* What is left of a frame when the line falls silent is no beginning of the next one.
* A frame with noise right before or behind it may be made of the rest of another one. It is
  `Said.sure` only if the same frame follows; a STOP always is. So a command waits for the silence
  after it, 40 ms, and a STOP does not.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal

from nvr.wire import pelco_d, pelco_p
from nvr.wire.pelco_d import Frame, Noise

Protocol = Literal["pelco-d", "pelco-p"]
PROTOCOLS: Final[tuple[Protocol, ...]] = ("pelco-d", "pelco-p")

SETTLE: Final = 2
HOPELESS_BYTES: Final = 24
"""So much without a frame is another rate, or no Pelco; it is three frames."""
LOST_BYTES: Final = 96
"""The same of a line that was understood: a burst of noise is no reason to give it up."""
AGAIN_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Said:
    """A frame.

    Attributes:
        at_s: When its last byte was read.
        protocol: Its protocol.
        frame: What it says.
        data: Its bytes.
        sure: It may move something.
    """

    at_s: float
    protocol: Protocol
    frame: Frame
    data: bytes
    sure: bool


class Ear:
    """Listens to one line.

    Attributes:
        protocol: What is spoken there, empty until that is known.
        frames: How many were understood.
        noise_bytes: How many bytes were not.
        open: Something came since the line was silent; tell it with `idle` when it is again.
    """

    def __init__(self) -> None:
        self.protocol: Protocol | Literal[""] = ""
        self.frames = 0
        self.noise_bytes = 0
        self._reset()

    def _reset(self) -> None:
        self._decoders: dict[Protocol, pelco_d.Decoder | pelco_p.Decoder] = {
            "pelco-d": pelco_d.Decoder(),
            "pelco-p": pelco_p.Decoder(),
        }
        self._in_a_row: dict[Protocol, int] = dict.fromkeys(PROTOCOLS, 0)
        self._astray = 0  # bytes since the last frame of either
        self._dirty: dict[Protocol, bool] = dict.fromkeys(PROTOCOLS, False)
        self._before: tuple[Frame | None, float] = (None, 0.0)
        self._held: Said | None = None
        self.open = False

    @property
    def lost(self) -> bool:
        """Nothing of what came lately was a frame."""
        return self._astray >= (LOST_BYTES if self.protocol else HOPELESS_BYTES)

    def anew(self) -> None:
        """Forget all: the rate is another one."""
        self.protocol = ""
        self._reset()

    def feed(self, data: bytes, now_s: float) -> list[Said]:
        """Take bytes and return the frames they completed, in order; none before it is settled.

        What may move something is kept until the next frame or silence shows that it was whole.
        """
        self._astray += len(data)
        self.open = True
        found: list[Said] = []
        for protocol in PROTOCOLS:
            for piece in self._decoders[protocol].feed(data):
                if isinstance(piece, Noise):
                    self._noise(protocol, piece)
                elif self._understood(protocol):
                    found += self._said(protocol, piece, now_s)
        return found

    def idle(self) -> list[Said]:
        """The line is silent: what is left is noise, what comes next a beginning; see `feed`."""
        self.open = False
        for protocol in PROTOCOLS:
            for piece in self._decoders[protocol].idle():
                if isinstance(piece, Noise):
                    self._noise(protocol, piece)
        found = self._kept()
        self._dirty = dict.fromkeys(PROTOCOLS, False)
        return found

    def _noise(self, protocol: Protocol, piece: Noise) -> None:
        self._dirty[protocol] = True
        if protocol == self.protocol:
            self.noise_bytes += len(piece.data)

    def _understood(self, protocol: Protocol) -> bool:
        """Whether a frame counts: it is of the protocol that is spoken here.

        Another one takes the place of that after as many frames in a row as at first.
        """
        self._astray = 0
        self._in_a_row = {
            one: count + 1 if one == protocol else 0 for one, count in self._in_a_row.items()
        }
        if self._in_a_row[protocol] >= SETTLE:
            self.protocol = protocol
        if protocol == self.protocol:
            return True
        self._dirty[protocol] = False
        return False

    def _said(self, protocol: Protocol, frame: Frame, now_s: float) -> list[Said]:
        found = self._kept()
        data = frame.encode() if protocol == "pelco-d" else pelco_p.encode(frame)
        again = self._before[0] == frame and now_s - self._before[1] <= AGAIN_S
        sure = again or not self._dirty[protocol] or not frame.command
        self._before = (frame, now_s)
        self._dirty[protocol] = False
        self.frames += 1
        said = Said(now_s, protocol, frame, data, sure)
        if again or not frame.command:
            return [*found, said]
        self._held = said
        return found

    def _kept(self) -> list[Said]:
        """What was kept, with what followed it known."""
        held, self._held = self._held, None
        if held is None:
            return []
        return [replace(held, sure=held.sure and not self._dirty[held.protocol])]
