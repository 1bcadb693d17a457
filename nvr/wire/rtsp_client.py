"""The client end of an RTSP conversation, without sockets or clocks.

It goes OPTIONS, DESCRIBE, SETUP for each track, PLAY, and keeps the session alive. How packets come
is asked for in the order given: interleaved on the one connection, as datagrams, from a multicast
group; what a server refuses is followed by the next on the same connection.

Source: RFC 2326; session time-outs 12.37, interleaving 10.12, aggregate control C.1.1, keepalives
10.1 and A.1; the habits of cameras.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias
from urllib.parse import urljoin, urlsplit

from nvr.wire import sdp
from nvr.wire.control import resolve, spellings
from nvr.wire.digest import Login
from nvr.wire.rtsp import (
    AGENT,
    SESSION_TIMEOUT_S,
    Frame,
    Headers,
    Malformed,
    Pair,
    Parser,
    Request,
    Response,
    Transport,
    parse_transport,
)

Delivery: TypeAlias = Literal["tcp", "udp", "multicast"]

_JUNK_BYTES: Final = 64 * 1024
_MOVED: Final = frozenset({301, 302, 303, 305, 307, 308})
_OTHER_URL: Final = frozenset({400, 404, 405, 451, 460})
_OTHER_DELIVERY: Final = frozenset({400, 405, 406, 451, 461, 500, 501, 551})
_ALIVE: Final = ("GET_PARAMETER", "SET_PARAMETER", "OPTIONS")


@dataclass(frozen=True, slots=True)
class Track:
    """A section of the description that was set up.

    Attributes:
        media: The section.
        channel: Of RTP, RTCP comes on the next one; for datagrams just a number of the track's own.
        delivery: How its packets come.
        transport: What the server said of it.
    """

    media: sdp.Media
    channel: int
    delivery: Delivery = "tcp"
    transport: Transport = Transport("RTP/AVP/TCP")  # noqa: RUF009 - frozen


@dataclass(frozen=True, slots=True)
class Playing:
    """The camera sends.

    Attributes:
        tracks: What was set up, in the order of the description.
        skipped: Encodings, or kinds of media, that were left out because we cannot carry them.
        rest: Bytes received after the answer to PLAY, or between PLAY and its answer.
        refused: Deliveries that the camera refused before.
    """

    tracks: tuple[Track, ...]
    skipped: tuple[str, ...]
    rest: bytes
    refused: tuple[Delivery, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """It cannot go on.

    Attributes:
        code: Stable error code.
        detail: A sentence for a person.
        status: RTSP status behind it, 0 if none.
    """

    code: str
    detail: str
    status: int = 0


@dataclass(frozen=True, slots=True)
class Moved:
    """The camera wants us at another address.

    Attributes:
        url: Where.
        foreign: It is another host: whoever is there must not be told our password.
    """

    url: str
    foreign: bool = False


Event: TypeAlias = Playing | Failed | Moved


def _no_ports() -> Pair:
    raise AssertionError("datagrams are asked for without ports")


class Client:
    """The client end. Feed it, send what it wants sent, take its events.

    Args:
        url: ``rtsp://`` or ``rtsps://`` address without credentials.
        login: Account on the camera, None if it has none.
        cnonce: Makes a fresh random word for each Digest answer.
        deliveries: What to ask for, the best first.
        ports: Opens two of our ports for the datagrams of the track that is set up next, and says
            which; asked at most once for each track.
        unborne: Methods not to ask for: the server hung up at them.
        sound: Sound is set up too.
    """

    def __init__(
        self,
        url: str,
        login: Login | None,
        *,
        cnonce: Callable[[], str],
        deliveries: Sequence[Delivery] = ("tcp",),
        ports: Callable[[], Pair] = _no_ports,
        unborne: frozenset[str] = frozenset(),
        sound: bool = True,
    ) -> None:
        if "@" in urlsplit(url).netloc:
            raise ValueError("credentials do not belong in the address")
        self._url = self._base = url
        self._login = login
        self._cnonce = cnonce
        self._deliveries = tuple(deliveries)
        self._delivery = 0
        self._open_ports = ports
        self._ports: Pair | None = None
        self._unborne = unborne
        self._kinds = ("video", "audio") if sound else ("video",)
        self._parser = Parser(_JUNK_BYTES)
        self._out = bytearray()
        self._events: list[Event] = []
        self._cseq = 0
        self._asked: tuple[str, str, Headers] | None = None
        self._session = ""
        self._timeout_s = SESSION_TIMEOUT_S
        self._public: frozenset[str] = frozenset()
        self._todo: list[sdp.Media] = []
        self._tracks: list[Track] = []
        self._uris: list[str] = []
        self._skipped: list[str] = []
        self._spelling = 0
        self._control = url
        self._plays: list[tuple[str, ...]] = []
        self._ranged = True
        self._early = b""
        self._kept_s: float | None = None
        self._no_good: set[str] = set()
        self._ended = False

    @property
    def unanswered(self) -> str:
        """The method that was asked for last and not answered, empty if there is none."""
        return self._asked[0] if self._asked else ""

    def start(self) -> None:
        """Send the first request."""
        if "OPTIONS" in self._unborne:
            self._describe()
        else:
            self._ask("OPTIONS", self._url)

    def to_send(self) -> bytes:
        """Hand over what is to be sent now."""
        data = bytes(self._out)
        self._out.clear()
        return data

    def next_event(self) -> Event | None:
        """Return the oldest event not yet taken."""
        return self._events.pop(0) if self._events else None

    def wake_at(self) -> float | None:
        """Monotonic seconds when `wake` wants to be called; None before PLAY."""
        if self._kept_s is None or self._ended:
            return None
        # Half the time-out, and never so rarely that a firewall forgets the connection.
        return self._kept_s + max(1.0, min(self._timeout_s / 2, 25.0))

    def wake(self, now_s: float) -> None:
        """Keep the session alive if it is time, in the first way that the server bears."""
        due_s = self.wake_at()
        if due_s is None or now_s < due_s:
            return
        self._kept_s = now_s
        if method := self._alive():
            self._ask(method, self._control)

    def _alive(self) -> str:
        known = {"OPTIONS", *(self._public or {"GET_PARAMETER"})}
        good = [one for one in _ALIVE if one in known and one not in self._unborne]
        return next((one for one in good if one not in self._no_good), next(reversed(good), ""))

    def close(self) -> None:
        """Say goodbye, if there is a session."""
        if self._session and not self._ended:
            self._ask("TEARDOWN", self._control)
        self._ended = True

    def receive(self, data: bytes, now_s: float) -> None:
        """Take bytes from the camera, or whole messages once it plays."""
        if not self._going():
            return
        self._parser.feed(data)
        try:
            while (item := self._parser.next()) is not None:
                match item:
                    case Frame():
                        self._early = (self._early + item.encode())[-(1 << 20) :]
                    case Request():
                        self._requested(item)
                    case Response():
                        self._answered(item, now_s)
                if not self._going():
                    return
        except Malformed as err:
            self._fail("camera.garbage", f"the camera sent {err}")
        except ValueError as err:  # an address that it gave cannot stand in a request
            self._fail("camera.protocol", f"the camera gave an impossible address: {err}")

    def _going(self) -> bool:
        return not self._ended

    def _ask(self, method: str, uri: str, headers: Headers = ()) -> None:
        self._cseq += 1
        self._asked = (method, uri, headers)
        sent = [("CSeq", str(self._cseq)), ("User-Agent", AGENT), *headers]
        if self._session:
            sent.append(("Session", self._session))
        proof = self._login.authorization(method, uri, self._cnonce()) if self._login else None
        if proof:
            sent.append(("Authorization", proof))
        self._out += Request(method, uri, tuple(sent)).encode()

    def _fail(self, code: str, detail: str, status: int = 0) -> None:
        self._ended = True
        self._events.append(Failed(code, detail, status))

    def _requested(self, request: Request) -> None:
        told = {"OPTIONS", "GET_PARAMETER", "SET_PARAMETER", "REDIRECT", "TEARDOWN"}
        status = 200 if request.method in told else 501
        self._out += Response(status, (("CSeq", request.header("CSeq") or "0"),)).encode()
        if request.method == "TEARDOWN":
            self._fail("camera.lost", "the camera ended the session")
        elif request.method == "REDIRECT":
            self._moved(request.header("Location"))

    def _answered(self, answer: Response, now_s: float) -> None:
        number = answer.header("CSeq")
        if self._asked is None or (number.isdigit() and int(number) != self._cseq):
            return  # late, or to nothing we asked
        method, uri, headers = self._asked
        self._asked = None
        if answer.status < 200:
            self._asked = (method, uri, headers)
            return
        if answer.status == 401:
            self._unauthorized(answer, method, uri, headers)
            return
        if self._login:
            self._login.accepted()
        if answer.status == 403:
            self._fail("camera.refused", "the account may not see this stream", 403)
        elif answer.status in _MOVED and self._kept_s is None:
            self._moved(answer.header("Location"))
        elif method == "DESCRIBE":
            self._described(answer)
        elif method == "SETUP":
            self._set_up(answer)
        elif method == "PLAY":
            self._played(answer, now_s)
        else:
            self._told(method, answer)

    def _told(self, method: str, answer: Response) -> None:
        """Answers to OPTIONS before the rest, and to keepalives after it."""
        if self._kept_s is None:
            words = answer.header("Public").upper().split(",")
            self._public = frozenset(word.strip() for word in words if word.strip())
            self._describe()
        elif answer.status == 454:
            self._fail("camera.lost", "the camera forgot the session", 454)
        elif answer.status >= 400:
            self._no_good.add(method)

    def _unauthorized(self, answer: Response, method: str, uri: str, headers: Headers) -> None:
        if self._login is None:
            self._fail("camera.refused", "the camera asks for a user name and password", 401)
        elif self._login.challenged(answer.all("WWW-Authenticate")):
            self._ask(method, uri, headers)
        elif self._login.challenge is None:
            self._fail("camera.refused", "the camera asks for a kind of log-in we lack", 401)
        else:
            self._fail("camera.refused", "the camera refused the user name or password", 401)

    def _describe(self) -> None:
        self._ask("DESCRIBE", self._url, (("Accept", "application/sdp"),))

    def _described(self, answer: Response) -> None:
        if answer.status != 200:
            what = {404: "camera.not_found"}.get(answer.status, "camera.protocol")
            self._fail(what, f"the camera has no such stream ({answer.status})", answer.status)
            return
        try:
            description = sdp.parse(answer.body)
        except ValueError as err:
            self._fail("camera.protocol", f"the camera sent {err}")
            return
        base = answer.header("Content-Base") or answer.header("Content-Location")
        self._base = base if "://" in base else self._url
        self._control = resolve(self._base, description.control)
        self._choose(description)

    def _choose(self, description: sdp.Description) -> None:
        """Set up one section of each kind that we can carry, of those that the camera sends."""
        theirs = [media for media in description.media if not media.ours]
        for kind in self._kinds:
            sections = [media for media in theirs if media.kind == kind]
            usable = [media for media in sections if media.codec]
            self._todo += usable[:1]
            if sections and not usable:
                self._skipped.append(sections[0].encoding or kind)
        if not self._todo:
            names = ", ".join(self._skipped) or "no video"
            self._fail("camera.unsupported", f"the camera sends {names}, which we cannot carry")
            return
        self._next_track()

    def _moved(self, location: str) -> None:
        own, to = urlsplit(self._url), None
        try:
            to = urlsplit(urljoin(own._replace(scheme="http").geturl(), location))
            if "://" not in location:  # relative, which `urljoin` does not know of rtsp
                to = to._replace(scheme=own.scheme)
            known = to.scheme in {"rtsp", "rtsps"} and to.port != 0 and "@" not in to.netloc
        except ValueError:
            known = False
        if not known or to is None or not to.hostname or not location:
            self._fail("camera.redirected", "the camera points to no address we could go to")
        elif own.scheme == "rtsps" and to.scheme != "rtsps":
            # Whoever listens would see what was meant to be hidden.
            self._fail("camera.redirected", "the camera points away from TLS, which we refuse")
        else:
            self._ended = True
            self._events.append(Moved(to.geturl(), to.hostname != own.hostname))

    @property
    def _low(self) -> int:
        """First channel of the track that is set up next."""
        return 2 * (len(self._tracks) + len(self._skipped))

    def _next_track(self) -> None:
        if not self._todo:
            wanted = [(one,) for one in spellings(self._url, self._control, self._control)]
            self._plays = [*wanted, tuple(self._uris)]
            self._play()
            return
        controls = spellings(self._url, self._base, self._todo[0].control)
        uri = controls[min(self._spelling, len(controls) - 1)]
        self._ask("SETUP", uri, (("Transport", self._wish()),))

    def _wish(self) -> str:
        match self._deliveries[self._delivery]:
            case "udp":
                self._ports = self._ports or self._open_ports()
                return f"RTP/AVP;unicast;client_port={self._ports[0]}-{self._ports[1]}"
            case "multicast":
                return "RTP/AVP;multicast"
        return f"RTP/AVP/TCP;unicast;interleaved={self._low}-{self._low + 1}"

    def _set_up(self, answer: Response) -> None:
        if answer.status == 200:
            self._accepted(answer)
            return
        media = self._todo[0]
        controls = spellings(self._url, self._base, media.control)
        first = not self._tracks
        if first and answer.status in _OTHER_URL and self._spelling + 1 < len(controls):
            self._spelling += 1
            self._next_track()
        elif first and answer.status in _OTHER_DELIVERY and self._another():
            self._spelling = 0
            self._next_track()
        elif media.kind == "audio" and self._tracks:  # the picture is worth having alone
            self._todo.pop(0)
            self._skipped.append(media.encoding)
            self._next_track()
        elif answer.status == 461:
            self._undeliverable(461)
        else:
            self._fail("camera.protocol", f"the camera refused SETUP ({answer.status})")

    def _another(self) -> bool:
        """Go on to the next delivery, if there is one."""
        if self._delivery + 1 >= len(self._deliveries):
            return False
        self._delivery += 1
        return True

    def _undeliverable(self, status: int = 0) -> None:
        if self._deliveries == ("tcp",):
            self._fail("camera.no_tcp", "the camera does not send over TCP", status)
        else:
            tried = ", ".join(self._deliveries)
            self._fail("camera.no_transport", f"the camera does not send over {tried}", status)

    def _accepted(self, answer: Response) -> None:
        media = self._todo.pop(0)
        asked = self._deliveries[self._delivery]
        said = next(iter(parse_transport(answer.header("Transport"))), None)
        if said is None:  # it forgot to say, so it does what we asked for
            said = Transport("RTP/AVP/TCP" if asked == "tcp" else "RTP/AVP", asked == "multicast")
        channel = self._low
        if said.interleaved:
            delivery: Delivery = "tcp"
            channel = self._channel(said)
        elif said.datagrams and (said.multicast or self._ports is not None):
            delivery = "multicast" if said.multicast else "udp"
        else:
            self._undeliverable()
            return
        if any(track.delivery != delivery for track in self._tracks) or channel > 254:
            self._fail(
                "camera.protocol", "the camera sends two tracks in ways that do not go together"
            )
            return
        self._ports = None
        self._tracks.append(Track(media, channel, delivery, said))
        self._uris.append(spellings(self._url, self._base, media.control)[self._spelling_of(media)])
        name, _, options = answer.header("Session").partition(";")
        self._session = name.strip() or self._session
        timeout = options.lower().partition("timeout=")[2].strip()
        if timeout.isdigit() and int(timeout) > 0:
            self._timeout_s = float(min(int(timeout), 3600))
        self._next_track()

    def _spelling_of(self, media: sdp.Media) -> int:
        return min(self._spelling, len(spellings(self._url, self._base, media.control)) - 1)

    def _channel(self, said: Transport) -> int:
        """The channel of a track: as the server says, another one if it said that twice."""
        taken = {track.channel + near for track in self._tracks for near in (-1, 0, 1)}
        said_one = said.channels[0] if said.channels else self._low
        wanted: list[int] = [said_one, self._low, *range(0, 255, 2)]
        return next(one for one in wanted if one not in taken)

    def _play(self, at: int = 0) -> None:
        headers = (("Range", "npt=0.000-"),) if self._ranged else ()
        self._ask("PLAY", self._plays[0][at], headers)

    def _played(self, answer: Response, now_s: float) -> None:
        if answer.status == 457 and self._ranged:
            self._ranged = False
            self._play()
        elif answer.status in {*_OTHER_URL, 459} and len(self._plays) > 1:
            self._plays = self._plays[-1:] if answer.status == 459 else self._plays[1:]
            self._play()
        elif answer.status != 200:
            self._fail("camera.protocol", f"the camera refused PLAY ({answer.status})")
        elif len(self._plays[0]) > 1:
            self._plays[0] = self._plays[0][1:]
            self._play()
        else:
            self._kept_s = now_s
            self._control = self._plays[0][0]
            rest = self._early + self._parser.rest()
            self._early = b""
            refused = self._deliveries[: self._delivery]
            self._events.append(Playing(tuple(self._tracks), tuple(self._skipped), rest, refused))
