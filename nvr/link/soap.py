"""SOAP with one camera: the only module that knows `onvif-zeep-async`. Runs in the worker.

What the library does not do, or does otherwise than we may, is put right here, each in one place:

* **Log-in.** HTTP Digest, which the standard asks for, is added to every service's session; the
  WS-UsernameToken goes along for cameras that know no other. Basic is never sent.
* **Clock.** The token's time is the camera's own, as its unauthenticated GetSystemDateAndTime says
  it; measured again after a refusal, at most once a minute.
* **Addresses.** The name is resolved once and judged; every later URL that the camera names gets
  that address in place of its own, and each socket is judged again as it is made. A redirect is
  refused: it would take the log-in elsewhere.
* **Size.** An answer is read up to 1 MiB and walked by `nvr.wire.xml.check` (no document type, 64
  deep, 40,000 elements) before the library's parser, which takes trees of any depth, sees it.
* **Certificates.** Not verified, as cameras sign their own; or exactly the one that is pinned.
* Media2 has no WSDL in the package: `Soap.raw` sends such calls by hand.
"""

import asyncio
import errno
import socket
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import aiohttp
import zeep.exceptions
from lxml import etree
from onvif import ONVIFCamera, ONVIFError
from onvif.util import normalize_url

from nvr.base.errors import Misconfigured, NvrError, Rejected, Unavailable
from nvr.link import trouble
from nvr.link.letter import SOAP, SPACE_OF, SPACES, Letter, mended
from nvr.link.reading import camera_clock_s, each, get, own_url, text
from nvr.media.onvif import Target
from nvr.wire import xml

MOST_ANSWER_BYTES: Final = 1 << 20
MOST_ANSWER_ELEMENTS: Final = 40_000
CLOCK_AGAIN_S: Final = 60.0
"""A camera's clock is not measured more often, however often it refuses."""
CONNECT_S: Final = 5.0

Permit = Callable[[str, int], bool]


class _TooMuch(aiohttp.ClientError):
    """The answer is larger or deeper than we take."""


class _Elsewhere(aiohttp.ClientError):
    """The camera sends us to another address."""


class _Camera(ONVIFCamera):  # type: ignore[misc] # the package has no types
    """The library's camera, every service of it dressed by us."""

    def __init__(self, target: Target, host: str, dress: Callable[[Any], None]) -> None:
        base = f"https://{_bracketed(host)}" if target.tls else host
        super().__init__(base, target.port, target.user or None, target.password, no_cache=True)
        self._device = f"{_base(target, host)}{target.path}"
        self._dress = dress

    def get_definition(self, name: str, port_type: str | None = None) -> tuple[str, str, str]:
        if name == "devicemgmt":
            _, wsdl, binding = super().get_definition(name, port_type)
            return self._device, wsdl, binding
        found: tuple[str, str, str] = super().get_definition(name, port_type)
        return found

    async def create_onvif_service(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the library's
        service = await super().create_onvif_service(*args, **kwargs)
        self._dress(service)
        return service


class Soap:
    """Calls to one camera's services.

    Args:
        target: Where it is and who we are there.
        permit: Whether an address and port may be connected to.
    """

    def __init__(self, target: Target, permit: Permit) -> None:
        self._target = target
        self._permit = permit
        self._camera: _Camera | None = None
        self._opening = asyncio.Lock()
        self._host = ""
        self._urls: dict[str, str] = {}
        self._digest: aiohttp.DigestAuthMiddleware | None = None
        self._said: trouble.Refusal | None = None
        self._refused_s = -trouble.REFUSED_S
        self._refusal: NvrError | None = None
        self._measured_s: float | None = None
        self.clock_offset_s: float | None = None

    async def close(self) -> None:
        """Close every connection."""
        camera, self._camera = self._camera, None
        if camera is not None:
            await camera.close()

    async def services(self) -> tuple[str, ...]:
        """Short names of what the camera offers."""

        async def named() -> tuple[str, ...]:
            return tuple(sorted(self._urls))

        found: tuple[str, ...] = await self._try(named)
        return found

    def own_url(self, url: str, *schemes: str) -> str:
        """Return a URL that the camera named, on the host that we were told, or nothing."""
        return own_url(url, self._target.host, schemes)

    async def call(
        self,
        service: str,
        operation: str,
        params: dict[str, Any] | None = None,
        port: str | None = None,
    ) -> Any:  # noqa: ANN401 - whatever the camera answers
        """Call an operation of a service and return what the library made of the answer.

        Raises:
            NvrError: As `nvr.media.onvif_wish.OnvifClient.ask`.
        """
        return await self._try(lambda: self._call(service, operation, params or {}, port))

    async def raw(self, letter: Letter) -> xml.Element:
        """Call an operation by hand and return the answer.

        Raises:
            NvrError: As `call`.
        """
        data = await self._try(lambda: self._post(letter))
        return xml.parse(data, most_bytes=MOST_ANSWER_BYTES, most_elements=MOST_ANSWER_ELEMENTS)

    async def tree(self, letter: Letter) -> Any:  # noqa: ANN401 - lxml has no types
        """As `raw`, for what is to be sent back: the answer as lxml has it."""
        data = await self._try(lambda: self._post(letter))
        return etree.fromstring(data, etree.XMLParser(resolve_entities=False, no_network=True))

    def service_url(self, url: str) -> str:
        """Return the URL of a service that the camera named, as we would call it."""
        return self._ours(normalize_url(url.strip()) or "")

    # From here on: how.

    async def _try(self, once: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever `once` returns
        """Do it, and once more if the clock was the reason for a refusal."""
        if self._refusal is not None:
            left_s = self._refused_s + trouble.REFUSED_S - time.monotonic()
            if left_s > 0:
                raise _again(self._refusal, left_s)
            self._refusal = None
        try:
            await self._opened()
            try:
                return await self._translated(once)
            except Rejected as err:
                if err.code != "onvif.refused" or not await self._measured_again():
                    raise
                return await self._translated(once)
        except Rejected as err:
            if err.code in {"onvif.refused", "onvif.locked"}:
                self._refusal, self._refused_s = err, time.monotonic()
            raise

    async def _translated(self, once: Callable[[], Any]) -> Any:  # noqa: ANN401, C901, PLR0912 - a table
        self._said = None
        try:
            return await once()
        except NvrError:
            raise
        except zeep.exceptions.TransportError as err:
            if err.status_code in {401, 403}:
                raise trouble.refused(self._said) from err
            raise trouble.garbage(f"HTTP {err.status_code}") from err
        except zeep.exceptions.Fault as err:
            raise self._fault([text(c) for c in each(err.subcodes)], str(err.message)) from err
        except aiohttp.ServerFingerprintMismatch as err:
            raise Misconfigured(
                "onvif.certificate", "the camera shows another certificate than the one pinned"
            ) from err
        except _TooMuch as err:
            raise trouble.garbage(str(err)) from err
        except _Elsewhere as err:
            raise Rejected("onvif.redirected", str(err)) from err
        except aiohttp.ClientConnectorError as err:
            if err.errno == errno.EACCES:
                raise trouble.forbidden() from err
            raise trouble.unreachable(err.os_error) from err
        except (aiohttp.ClientError, OSError) as err:
            if isinstance(err, TimeoutError):
                raise trouble.silent() from err
            if isinstance(err, aiohttp.ClientResponseError):
                raise trouble.garbage("it is no HTTP") from err
            raise Unavailable("onvif.unreachable", "the camera ended the connection") from err
        except ONVIFError as err:
            raise trouble.bug(err.__cause__ or err) from err
        except asyncio.CancelledError:
            raise
        except Exception as err:
            raise trouble.bug(err) from err

    def _fault(self, subcodes: list[str], message: str) -> NvrError:
        words = " ".join((*subcodes, message)).lower()
        if self._said is not None or any(
            w in words for w in ("notauthorized", "not authorized", "failedauthentication")
        ):
            return trouble.refused(self._said)
        if "lock" in words and ("account" in words or "user" in words):
            return trouble.refused(trouble.Refusal(True, None, None))
        if any(w in words for w in ("notsupported", "not supported", "not implemented")):
            return trouble.unsupported(f"that ({message[:60]})")
        return trouble.fault(message or " ".join(subcodes))

    async def _opened(self) -> _Camera:
        async with self._opening:
            if self._camera is None:
                self._host = await self._resolve()
                camera = _Camera(self._target, self._host, self._dress)
                try:
                    await self._translated(lambda: self._measure(camera))
                    await self._translated(lambda: self._find_services(camera))
                except BaseException:
                    await camera.close()
                    raise
                self._camera = camera
            return self._camera

    async def _resolve(self) -> str:
        host, port = self._target.host, self._target.port
        try:
            async with asyncio.timeout(CONNECT_S):
                found = await asyncio.get_running_loop().getaddrinfo(
                    host, port, type=socket.SOCK_STREAM
                )
        except TimeoutError as err:
            raise Unavailable("onvif.unreachable", "nobody knows the camera's name") from err
        except (OSError, UnicodeError) as err:
            raise trouble.unreachable(
                err if isinstance(err, OSError) else socket.gaierror()
            ) from err
        address = str(found[0][4][0])
        if not self._permit(address, port):
            raise trouble.forbidden()
        return address

    def _dress(self, service: Any) -> None:  # noqa: ANN401 - the library's
        """Give a service's session what the library leaves out. Private names, a pinned version."""
        if getattr(service, "nvr_dressed", False):
            return
        service.nvr_dressed = True
        service._connector._socket_factory = self._socket  # noqa: SLF001 - see above
        if self._target.pin:
            service._connector._ssl = aiohttp.Fingerprint(bytes.fromhex(self._target.pin))  # noqa: SLF001 - see above
        session = service._session  # noqa: SLF001 - see above
        session._middlewares = (*self._log_in(), self._bounded)  # noqa: SLF001 - see above
        session._auto_decompress = False  # noqa: SLF001 - a small answer may unpack to a large one
        session.headers["Accept-Encoding"] = "identity"
        self._adjust(service)

    def _log_in(self) -> tuple[Any, ...]:
        if not self._target.user:
            return ()
        return (aiohttp.DigestAuthMiddleware(self._target.user, self._target.password),)

    def _adjust(self, service: Any) -> None:  # noqa: ANN401 - the library's
        offset_s = self.clock_offset_s
        service.zeep_client.wsse.dt_diff = None if offset_s is None else timedelta(seconds=offset_s)

    def _socket(self, found: Any) -> socket.socket:  # noqa: ANN401 - as of getaddrinfo
        family, kind, protocol, _, address = found
        if not self._permit(str(address[0]), int(address[1])):
            raise PermissionError(errno.EACCES, "not an address of a camera")
        return socket.socket(family, kind, protocol)

    async def _bounded(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Read an answer no further than we take, and look at it before anybody parses it."""
        response = await handler(request)
        try:
            body = await self._read(response)
        except BaseException:
            response.close()
            raise
        response._body = body  # noqa: SLF001 - where `read` keeps it
        return response

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        if response.status in {301, 302, 303, 307, 308}:
            tls = response.headers.get("Location", "").startswith("https:")
            raise _Elsewhere(
                "the camera speaks HTTPS only"
                if tls and not self._target.tls
                else "the camera sends us to another address"
            )
        body = bytearray()
        async for piece in response.content.iter_chunked(64 * 1024):
            body += piece
            if len(body) > MOST_ANSWER_BYTES:
                raise _TooMuch(f"more than {MOST_ANSWER_BYTES} bytes")
        if response.status in {401, 403}:
            self._said = trouble.refusal(bytes(body))
            return bytes(body)
        self._said = None
        if not body.strip():
            return b""
        try:
            undeclared = xml.check(
                bytes(body), most_bytes=MOST_ANSWER_BYTES, most_elements=MOST_ANSWER_ELEMENTS
            )
        except xml.Malformed as err:
            raise _TooMuch(str(err)) from err
        return mended(bytes(body), undeclared)

    async def _measure(self, camera: _Camera) -> None:
        """Learn what the camera's clock shows; one that does not say has none."""
        service = await camera.create_devicemgmt_service()
        self._measured_s = time.monotonic()
        asked_s = time.time()
        try:
            answer = await service.authless_GetSystemDateAndTime()
        except (zeep.exceptions.Fault, zeep.exceptions.TransportError):
            if not self._target.user:
                return
            # The standard says that anybody may ask; some want a log-in all the same.
            asked_s = time.time()
            answer = await service.GetSystemDateAndTime()
        shown_s = camera_clock_s(answer)
        if shown_s is None:
            return
        # It shows whole seconds: half of one more is its best guess.
        self.clock_offset_s = round(shown_s + 0.5 - (asked_s + time.time()) / 2, 2)
        for known in camera.services.values():
            self._adjust(known)

    async def measure_clock(self) -> float | None:
        """The camera's clock minus ours, asked anew."""
        camera = await self._opened()
        await self._translated(lambda: self._measure(camera))
        return self.clock_offset_s

    async def _measured_again(self) -> bool:
        """Measure the clock again if that may help; whether it did change."""
        camera, measured_s, before = self._camera, self._measured_s, self.clock_offset_s
        if camera is None or measured_s is None or time.monotonic() - measured_s < CLOCK_AGAIN_S:
            return False
        await self._translated(lambda: self._measure(camera))
        now = self.clock_offset_s
        return now is not None and (before is None or abs(now - before) > 1.0)

    async def _find_services(self, camera: _Camera) -> None:
        device = await camera.create_devicemgmt_service()
        found: dict[str, str] = {}
        try:
            answer = await self._do(device, "GetServices", {"IncludeCapability": False})
            for one in each(answer):
                found[text(get(one, "Namespace"), 256)] = text(get(one, "XAddr"), 1024)
        except zeep.exceptions.Fault as err:
            translated = self._fault([text(c) for c in each(err.subcodes)], str(err.message))
            if translated.code in {"onvif.refused", "onvif.locked"}:
                raise
        if not found:
            answer = await self._do(device, "GetCapabilities", {"Category": "All"})
            for key in ("Media", "PTZ", "Events", "Imaging", "Analytics"):
                url = text(get(answer, key, "XAddr"), 1024)
                if url:
                    found[SPACE_OF[key.lower()]] = url
            for key in ("DeviceIO", "Recording", "Search", "Replay"):
                url = text(get(answer, "Extension", key, "XAddr"), 1024)
                if url:
                    found[SPACE_OF[key.lower()]] = url
        ours = {space: self._ours(normalize_url(url) or "") for space, url in found.items()}
        camera.xaddrs = {space: url for space, url in ours.items() if url}
        self._urls = {SPACES[s]: url for s, url in camera.xaddrs.items() if s in SPACES}

    def _ours(self, url: str) -> str:
        """A URL that the camera named, on its scheme, address and port as we know them.

        A port of its own is kept only where the address is right as well: behind a router both
        are another's.
        """
        rewritten = own_url(url, self._host, ("http", "https"))
        if not rewritten:
            return ""
        right = f"//{_bracketed(self._host)}" in url or f"//{self._target.host}" in url
        same = url.startswith("https:" if self._target.tls else "http:")
        _, _, rest = rewritten.partition("://")
        place, slash, path = rest.partition("/")
        if right and same:
            return f"{'https' if self._target.tls else 'http'}://{place}{slash}{path}"
        return f"{_base(self._target, self._host)}/{path}"

    async def _do(self, service: Any, operation: str, params: dict[str, Any]) -> Any:  # noqa: ANN401 - the library's
        name = operation if self._target.user else f"authless_{operation}"
        return await getattr(service, name)(params)

    async def _service(self, name: str, port: str | None = None) -> Any:  # noqa: ANN401 - the library's
        camera = await self._opened()
        if name == "device":
            return await camera.create_devicemgmt_service()
        if name not in self._urls:
            raise trouble.unsupported({"ptz": "PTZ"}.get(name, name))
        return await camera.create_onvif_service(name, port_type=port)

    async def _call(
        self, service: str, operation: str, params: dict[str, Any], port: str | None
    ) -> Any:  # noqa: ANN401 - whatever the camera answers
        return await self._do(await self._service(service, port), operation, params)

    async def _post(self, letter: Letter) -> bytes:
        device = await self._service("device")
        to = letter.url or self._urls.get(letter.service, "")
        if not to:
            raise trouble.unsupported(letter.service)
        envelope = etree.fromstring(letter.envelope(to))
        if letter.headers:
            header = envelope.find(f"{{{SOAP}}}Header")
            header.extend([etree.fromstring(one) for one in letter.headers])
        headers = {"Content-Type": "application/soap+xml; charset=utf-8"}
        if self._target.user:
            envelope, headers = device.zeep_client.wsse.apply(envelope, headers)
        answer = await device.transport.post_xml(to, envelope, headers)
        content = bytes(answer.content)
        if answer.status_code in {401, 403}:
            raise trouble.refused(self._said)
        if not content.strip():
            raise trouble.garbage(f"HTTP {answer.status_code} without a body")
        self._raise_fault(content)
        return content

    def _raise_fault(self, content: bytes) -> None:
        tree = xml.parse(content, most_bytes=MOST_ANSWER_BYTES, most_elements=MOST_ANSWER_ELEMENTS)
        found = tree.first("Body", "Fault")
        if found is not None:
            codes = [one.text for one in found.all("Value")]
            raise self._fault(codes, text(found.said("Text") or found.said("faultstring")))


def _again(before: NvrError, left_s: float) -> Rejected:
    """The same refusal without asking: the camera would count one more wrong log-in."""
    context = before.context | {"retry_after_s": round(left_s, 1)}
    if before.code == "onvif.locked":
        return Rejected("onvif.locked", before.detail, **context)
    return Rejected("onvif.refused", before.detail, **context)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _base(target: Target, host: str) -> str:
    return f"{'https' if target.tls else 'http'}://{_bracketed(host)}:{target.port}"
