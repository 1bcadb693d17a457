"""The client end of ONVIF's replay: a recording of the camera's own, from a time on.

Every request carries ``Require: onvif-replay``; ``PLAY`` asks with ``Range: clock=`` for a stretch
of the camera's wall clock, and with ``Rate-Control: no`` for it as fast as we take it. Packets say
in a header extension when what is in them was taken.

Source: ONVIF Streaming Specification 23.06, section 6; RFC 2326, 3.7.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from nvr.wire.digest import Login
from nvr.wire.rtsp import Headers
from nvr.wire.rtsp_client import Client

FEATURE: Final = "onvif-replay"
_MOST_US: Final = 253_402_300_799_000_000
"""The end of the year 9999."""


def stamp(at_us: int) -> str:
    """UTC microseconds as a time of a range: ``20260615T114900.440Z``."""
    at_us = min(max(at_us, 0), _MOST_US)
    at = datetime.fromtimestamp(at_us // 1_000_000, UTC)
    return f"{at:%Y%m%dT%H%M%S}.{at_us // 1000 % 1000:03}Z"


class ReplayClient(Client):
    """Plays a stretch of a recording. See `Client`.

    Args:
        url: As `GetReplayUri` gave it.
        login: Account on the camera, None if it has none.
        span: UTC microseconds of its begin and end, by the camera's clock.
        cnonce: Makes a fresh random word for each Digest answer.
        sound: Sound is wanted too, where it was recorded.
    """

    def __init__(
        self,
        url: str,
        login: Login | None,
        span: tuple[int, int],
        *,
        cnonce: Callable[[], str],
        sound: bool = True,
    ) -> None:
        super().__init__(url, login, cnonce=cnonce, sound=sound)
        self._span = span
        self._ranged = False  # what is asked for is never left out

    def _ask(self, method: str, uri: str, headers: Headers = ()) -> None:
        wanted: Headers = ()
        if method in {"DESCRIBE", "SETUP", "PLAY"}:
            wanted = (("Require", FEATURE),)
        if method == "PLAY":
            span = f"clock={stamp(self._span[0])}-{stamp(self._span[1])}"
            wanted = (*wanted, ("Range", span), ("Rate-Control", "no"))
        given = tuple(header for header in headers if header not in wanted)
        super()._ask(method, uri, (*given, *wanted))
