"""Both ends of an RTSP conversation, without sockets or clocks.

The client end goes OPTIONS, DESCRIBE, SETUP for each track, PLAY, always interleaved on the one
connection, and keeps the session alive. The server end checks what every request must have, and
keeps the state between requests; what a request is *for* its caller decides.

Source: RFC 2326; session time-outs 12.37, interleaving 10.12, aggregate control C.1.1.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from nvr.wire import sdp
from nvr.wire.digest import Login
from nvr.wire.rtsp import Frame, Headers, Malformed, Parser, Request, Response, parse_transport

AGENT: Final = "nvr"
SESSION_TIMEOUT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Track:
    """A section of the description that was set up; RTCP comes on ``channel + 1``."""

    media: sdp.Media
    channel: int


@dataclass(frozen=True, slots=True)
class Playing:
    """The camera sends.

    Attributes:
        tracks: What was set up, in the order of the description.
        skipped: Encodings, or kinds of media, that were left out because we cannot carry them.
        rest: Bytes received after the answer to PLAY, or between PLAY and its answer.
    """

    tracks: tuple[Track, ...]
    skipped: tuple[str, ...]
    rest: bytes


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
    """The camera wants us at another address on the same host."""

    url: str


Event: TypeAlias = Playing | Failed | Moved


def resolve(base: str, control: str) -> str:
    """Return the URL that a ``control`` attribute means.

    Cameras mean what players do, which is not RFC 3986: the control is appended to the base.
    """
    if not control or control == "*":
        return base
    if "://" in control:
        return control
    return f"{base.rstrip('/')}/{control.lstrip('/')}"


class Client:
    """The client end. Feed it, send what it wants sent, take its events.

    Args:
        url: ``rtsp://`` or ``rtsps://`` address without credentials.
        login: Account on the camera, None if it has none.
        cnonce: Makes a fresh random word for each Digest answer.
    """

    def __init__(self, url: str, login: Login | None, *, cnonce: Callable[[], str]) -> None:
        if "@" in urlsplit(url).netloc:
            raise ValueError("credentials do not belong in the address")
        self._url = self._base = url
        self._login = login
        self._cnonce = cnonce
        self._parser = Parser()
        self._out = bytearray()
        self._events: list[Event] = []
        self._cseq = 0
        self._asked: tuple[str, str, Headers] | None = None
        self._session = ""
        self._timeout_s = SESSION_TIMEOUT_S
        self._public: frozenset[str] = frozenset()
        self._todo: list[sdp.Media] = []
        self._tracks: list[Track] = []
        self._skipped: list[str] = []
        self._control = url
        self._early = b""
        self._kept_s: float | None = None
        self._no_parameter = False
        self._ended = False

    def start(self) -> None:
        """Send the first request."""
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
        return self._kept_s + max(2.0, min(self._timeout_s / 2, 25.0))

    def wake(self, now_s: float) -> None:
        """Keep the session alive if it is time."""
        due_s = self.wake_at()
        if due_s is None or now_s < due_s:
            return
        self._kept_s = now_s
        known = not self._public or "GET_PARAMETER" in self._public
        method = "GET_PARAMETER" if known and not self._no_parameter else "OPTIONS"
        self._ask(method, self._control)

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
        status = 200 if request.method in {"OPTIONS", "GET_PARAMETER", "SET_PARAMETER"} else 501
        self._out += Response(status, (("CSeq", request.header("CSeq") or "0"),)).encode()
        if request.method == "TEARDOWN":
            self._fail("camera.lost", "the camera ended the session")

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
            return
        match method:
            case "DESCRIBE":
                self._described(answer)
            case "SETUP":
                self._set_up(answer)
            case "PLAY":
                self._played(answer, now_s)
            case _:
                self._told(method, answer)

    def _told(self, method: str, answer: Response) -> None:
        """Answers to OPTIONS before the rest, and to keepalives after it."""
        if self._kept_s is None:
            words = answer.header("Public").upper().split(",")
            self._public = frozenset(word.strip() for word in words if word.strip())
            self._ask("DESCRIBE", self._url, (("Accept", "application/sdp"),))
        elif answer.status == 454:
            self._fail("camera.lost", "the camera forgot the session", 454)
        elif method == "GET_PARAMETER" and answer.status >= 400:
            self._no_parameter = True

    def _unauthorized(self, answer: Response, method: str, uri: str, headers: Headers) -> None:
        if self._login is None:
            self._fail("camera.refused", "the camera asks for a user name and password", 401)
        elif self._login.challenged(answer.all("WWW-Authenticate")):
            self._ask(method, uri, headers)
        elif self._login.challenge is None:
            self._fail("camera.refused", "the camera asks for a kind of log-in we lack", 401)
        else:
            self._fail("camera.refused", "the camera refused the user name or password", 401)

    def _described(self, answer: Response) -> None:
        if answer.status in {301, 302, 303, 307, 308}:
            self._moved(answer.header("Location"))
            return
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
        for kind in ("video", "audio"):
            sections = [media for media in description.media if media.kind == kind]
            usable = [media for media in sections if media.codec]
            self._todo += usable[:1]
            if sections and not usable:
                self._skipped.append(sections[0].encoding or kind)
        if not self._todo:
            names = ", ".join(self._skipped) or "no video"
            self._fail("camera.unsupported", f"the camera sends {names}, which we cannot carry")
            return
        self._next_track()

    def _moved(self, url: str) -> None:
        to, own = urlsplit(url), urlsplit(self._url)
        if to.hostname != own.hostname or to.scheme != own.scheme or "@" in to.netloc:
            # Following would hand the camera's password to whoever answered.
            self._fail("camera.redirected", "the camera points to another host, which we refuse")
        else:
            self._ended = True
            self._events.append(Moved(url))

    def _next_track(self) -> None:
        if self._todo:
            low = 2 * (len(self._tracks) + len(self._skipped))
            want = f"RTP/AVP/TCP;unicast;interleaved={low}-{low + 1}"
            uri = resolve(self._base, self._todo[0].control)
            self._ask("SETUP", uri, (("Transport", want),))
        else:
            self._ask("PLAY", self._control, (("Range", "npt=0.000-"),))

    def _set_up(self, answer: Response) -> None:
        media = self._todo.pop(0)
        if answer.status != 200:
            if media.kind == "audio" and self._tracks:  # the picture is worth having alone
                self._skipped.append(media.encoding)
                self._next_track()
            elif answer.status == 461:
                self._fail("camera.no_tcp", "the camera does not send over TCP", 461)
            else:
                self._fail("camera.protocol", f"the camera refused SETUP ({answer.status})")
            return
        chosen = next(iter(parse_transport(answer.header("Transport"))), None)
        if chosen is None or not chosen.interleaved:
            self._fail("camera.no_tcp", "the camera does not send over TCP")
            return
        low = 2 * (len(self._tracks) + len(self._skipped))
        channel = chosen.channels[0] if chosen.channels else low
        if channel > 254 or any(abs(track.channel - channel) < 2 for track in self._tracks):
            self._fail("camera.protocol", "the camera gave two tracks one channel")
            return
        self._tracks.append(Track(media, channel))
        name, _, options = answer.header("Session").partition(";")
        self._session = name.strip() or self._session
        timeout = options.lower().partition("timeout=")[2].strip()
        if timeout.isdigit() and int(timeout) > 0:
            self._timeout_s = float(min(int(timeout), 3600))
        self._next_track()

    def _played(self, answer: Response, now_s: float) -> None:
        if answer.status != 200:
            self._fail("camera.protocol", f"the camera refused PLAY ({answer.status})")
            return
        self._kept_s = now_s
        rest = self._early + self._parser.rest()
        self._early = b""
        self._events.append(Playing(tuple(self._tracks), tuple(self._skipped), rest))


@dataclass(frozen=True, slots=True)
class Ended:
    """The server end is through with this connection; send what is left and close."""

    detail: str


METHODS: Final = (
    "OPTIONS",
    "DESCRIBE",
    "SETUP",
    "PLAY",
    "PAUSE",
    "TEARDOWN",
    "GET_PARAMETER",
    "SET_PARAMETER",
)


class Server:
    """The server end of one connection.

    Args:
        session: The session's identifier, unguessable.
    """

    def __init__(self, session: str) -> None:
        self.session = session
        self.channels: dict[int, int] = {}
        self._parser = Parser()
        self._out = bytearray()
        self._ended = False

    def to_send(self) -> bytes:
        """Hand over what is to be sent now."""
        data = bytes(self._out)
        self._out.clear()
        return data

    def receive(self, data: bytes) -> None:
        """Take bytes from the peer."""
        self._parser.feed(data)

    def partial(self) -> bool:
        """Whether a request has begun and not yet ended."""
        return self._parser.pending()

    def next_event(self) -> Request | Ended | None:
        """Return the next request that deserves an answer by the caller, or the end.

        Requests that break the rules are answered here. Interleaved frames (receiver reports)
        and responses are taken and forgotten.
        """
        while not self._ended:
            try:
                item = self._parser.next()
            except Malformed as err:
                self._out += Response(err.status).encode()
                self._ended = True
                return Ended(str(err))
            if item is None:
                return None
            if isinstance(item, Request) and self._proper(item):
                return item
        return None

    def _proper(self, request: Request) -> bool:
        if not request.header("CSeq").isdigit():
            self._out += Response(400).encode()
            return False
        status = 200
        if request.header("Require") or request.header("Proxy-Require"):
            unknown = request.header("Require") or request.header("Proxy-Require")
            self.respond(request, 551, (("Unsupported", unknown),))
            return False
        if request.method not in METHODS:
            status = 501
        elif self.named(request) not in {"", self.session} or (
            request.method in {"PLAY", "PAUSE", "TEARDOWN"} and not self.named(request)
        ):
            status = 454
        elif request.method in {"PLAY", "PAUSE"} and not self.channels:
            status = 455
        if status != 200:
            self.respond(request, status)
        return status == 200

    def named(self, request: Request) -> str:
        """The session a request names, empty if none."""
        return request.header("Session").partition(";")[0].strip()

    def respond(
        self,
        request: Request,
        status: int,
        headers: Headers = (),
        body: bytes = b"",
        reason: str = "",
    ) -> None:
        """Queue the answer to `request`."""
        self._out += self.answer(request, status, headers, body, reason)

    def answer(
        self,
        request: Request,
        status: int,
        headers: Headers = (),
        body: bytes = b"",
        reason: str = "",
    ) -> bytes:
        """Encode the answer to `request`, for a caller that sends it another way."""
        sent: list[tuple[str, str]] = [("CSeq", request.header("CSeq")), ("Server", AGENT)]
        if self.channels and status < 400:
            sent.append(("Session", f"{self.session};timeout={SESSION_TIMEOUT_S:.0f}"))
        return Response(status, (*sent, *headers), body, reason).encode()

    def set_up(self, request: Request, track: int) -> None:
        """Answer SETUP of `track`: the first interleaved alternative, else 461."""
        for choice in parse_transport(request.header("Transport")):
            if not choice.interleaved:
                continue
            others = {low for index, low in self.channels.items() if index != track}
            low = choice.channels[0] if choice.channels else 2 * track
            if low > 254 or any(abs(low - other) < 2 for other in others):
                continue
            self.channels[track] = low
            transport = f"RTP/AVP/TCP;unicast;interleaved={low}-{low + 1}"
            self.respond(request, 200, (("Transport", transport),))
            return
        self.respond(request, 461)
