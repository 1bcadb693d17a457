"""The client end of an ONVIF back channel: sound from us to the camera, in a session of its own.

Every request carries ``Require: www.onvif.org/ver20/backchannel``; the description then holds a
section ``a=sendonly``, which is set up alone. Its packets go out interleaved on the connection.

Source: ONVIF Streaming Specification 22.12, section 5.3.
"""

import struct
from typing import Final

from nvr.wire import sdp
from nvr.wire.rtsp import Headers
from nvr.wire.rtsp_client import Client

FEATURE: Final = "www.onvif.org/ver20/backchannel"
CODECS: Final = ("pcmu", "pcma")
"""What we say it in, the best first: every device of Profile T takes G.711 mu-law."""

_RTP = struct.Struct(">BBHII")
_FRAME = struct.Struct(">cBH")


class TalkClient(Client):
    """Sets up the section that we send. See `Client`."""

    def _ask(self, method: str, uri: str, headers: Headers = ()) -> None:
        needed = (("Require", FEATURE),)
        wanted = needed if method in {"DESCRIBE", "SETUP", "PLAY"} else ()
        given = tuple(header for header in headers if header not in wanted)
        super()._ask(method, uri, (*given, *wanted))

    def _choose(self, description: sdp.Description) -> None:
        ours = [media for media in description.media if media.ours and media.kind == "audio"]
        for codec in CODECS:
            found = [one for one in ours if (one.codec, one.channels) == (codec, 1)]
            if found:
                self._todo = found[:1]
                self._next_track()
                return
        names = ", ".join(media.encoding for media in ours)
        what = f"the camera is spoken to in {names}" if names else "the camera takes no sound"
        self._fail("camera.unsupported", what)


class Packets:
    """Numbers what is said.

    Args:
        channel: Interleaved channel of the section.
        payload_type: As the section has it.
        ssrc: Source, 32 bits.
        sequence: First sequence number, 16 bits.
        timestamp: First timestamp, 32 bits.
    """

    def __init__(
        self, channel: int, payload_type: int, ssrc: int, sequence: int = 0, timestamp: int = 0
    ) -> None:
        self._channel, self._payload_type, self._ssrc = channel, payload_type, ssrc
        self._sequence, self._timestamp = sequence, timestamp
        self._begun = False

    def frame(self, samples: bytes, late: int = 0) -> bytes:
        """Return G.711 samples as an interleaved packet.

        Args:
            samples: At most 1,024.
            late: Samples of silence that were left out before them.
        """
        self._timestamp += late
        marked = 0 if self._begun and not late else 0x80  # of a spurt's first packet, RFC 3551, 4.1
        packet = _RTP.pack(
            0x80,
            marked | self._payload_type,
            self._sequence & 0xFFFF,
            self._timestamp & 0xFFFFFFFF,
            self._ssrc,
        )
        self._begun = True
        self._sequence += 1
        self._timestamp += len(samples)
        return _FRAME.pack(b"$", self._channel, len(packet) + len(samples)) + packet + samples
