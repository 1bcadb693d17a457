"""A bucket of an S3-compatible store: multipart uploads, one connection at a time, calls block.

Every request is signed with the SHA-256 of its body, so a store takes only what was sent; each part
also carries its MD5 and must come back with it. Redirects are not followed. Which address the
store's name leads to is judged at every connection, as a camera's is.

Source: Amazon S3 API Reference 2006-03-01 (CreateMultipartUpload, UploadPart,
CompleteMultipartUpload, AbortMultipartUpload, HeadObject, "Error Responses"); RFC 9112.
"""

import base64
import contextlib
import hashlib
import http.client
import re
import socket
import ssl
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from html import unescape
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from nvr.base.errors import Damaged, Misconfigured, NvrError, Rejected, Unavailable
from nvr.base.permit import Permit
from nvr.wire import sigv4

CHUNK_BYTES = 128 << 10
_WAITING_BYTES = 256 << 10
_CONNECT_S = 10.0
_ANSWER_S = 60.0
"""Stores take their time to put an object together."""
_LEAVING_S = 5.0
"""For what is only tidied up."""
_MOST_ANSWER_BYTES = 1 << 20
_EMPTY = hashlib.sha256().hexdigest()
_AWAY = frozenset((408, 425, 429, 500, 502, 503, 504))
_CLOCK = frozenset(("RequestTimeTooSkewed", "RequestExpired"))
_DENIED = frozenset(("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"))
_WRONG = frozenset(("BadDigest", "IncompleteBody", "InvalidDigest", "XAmzContentSHA256Mismatch"))
_SKEW_S = 600.0


@dataclass(frozen=True, slots=True)
class Place:
    """Which bucket, and how to get there.

    Attributes:
        endpoint: ``https://host:port``.
        bucket: Its name.
        prefix: What the names of all objects begin with, ends with a slash if not empty.
        region: What the store calls its place.
        path_style: The bucket stands in the path, not in the host's name.
        key_id: Public half of the credential.
        ca: Certificates to trust instead of the system's.
        bytes_per_s: As fast as it may be sent, 0: as fast as it goes.
    """

    endpoint: str
    bucket: str
    prefix: str
    region: str
    path_style: bool
    key_id: str
    ca: Path | None = None
    bytes_per_s: float = 0.0

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"


@dataclass(frozen=True, slots=True)
class Part:
    """A part that the store has.

    Attributes:
        number: From 1.
        etag: As it came.
        md5: Of its bytes.
    """

    number: int
    etag: str
    md5: bytes


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def find(self, tag: str) -> str:
        found = re.search(rf"<{tag}>([^<]*)</{tag}>".encode(), self.body)
        return unescape(found[1].decode("utf-8", "replace")) if found else ""

    def word(self, tag: str) -> str:
        """Return what can be shown to anybody."""
        return re.sub(r"[^A-Za-z0-9-]", "", self.find(tag))[:64]


Sending = Generator[None, None, _Answer]
"""Yields after each piece that went out; may be left for a while, or closed."""


class Store:
    """One bucket, used by one thread.

    Args:
        place: Which.
        secret: Secret half of the credential, asked for at each request.
        wall_us: UTC microseconds now.

    Raises:
        Misconfigured: ``s3.ca``: the certificates to trust cannot be read.
    """

    def __init__(self, place: Place, secret: Callable[[], str], wall_us: Callable[[], int]) -> None:
        self.place = place
        self._secret = secret
        self._wall_us = wall_us
        parts = urlsplit(place.endpoint)
        host = parts.hostname or ""
        self._host = host if place.path_style else f"{place.bucket}.{host}"
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        usual = parts.port is None or parts.port == {"https": 443, "http": 80}[parts.scheme]
        bare = f"[{self._host}]" if ":" in self._host else self._host
        self._authority = bare if usual else f"{bare}:{self._port}"
        self._base = f"/{place.bucket}" if place.path_style else ""
        self._permit = Permit([f"{bare}:{self._port}"] if _numeric(host) else [])
        self._tls = _context(place.ca) if parts.scheme == "https" else None
        self._connection: http.client.HTTPConnection | None = None
        self._timeout_s = _ANSWER_S

    def begin(self, name: str, kind: str) -> str:
        """Begin an upload and return its id.

        Raises:
            NvrError: ``s3.*``.
        """
        query, headers = {"uploads": ""}, {"content-type": kind}
        upload = _end(self._ask("POST", name, query, None, headers)).find("UploadId")
        if not upload:
            raise Rejected("s3.refused", "the store begins no upload: is it an S3 store?")
        return upload

    def send(
        self, name: str, upload: str, number: int, body: memoryview
    ) -> Generator[None, None, Part]:
        """Send one part.

        Raises:
            NvrError: ``s3.*``; ``s3.wrong_bytes``: something else has arrived.
        """
        md5 = hashlib.md5(body, usedforsecurity=False).digest()
        query = {"partNumber": str(number), "uploadId": upload}
        headers = {"content-md5": base64.b64encode(md5).decode()}
        answer = yield from self._ask("PUT", name, query, body, headers)
        etag = answer.headers.get("etag", "")
        sealed = any("server-side-encryption" in key for key in answer.headers)
        if not etag or (_is_md5(etag) and not sealed and etag.strip('"') != md5.hex()):
            raise Damaged("s3.wrong_bytes", "the store has not got what was sent", part=number)
        return Part(number, etag, md5)

    def complete(self, name: str, upload: str, parts: list[Part], size_bytes: int) -> None:
        """Make the object out of its parts, and see that it is there.

        Raises:
            NvrError: ``s3.*``; ``s3.wrong_bytes``: it has another size.
        """
        inner = "".join(
            f"<Part><PartNumber>{part.number}</PartNumber><ETag>{escape(part.etag)}</ETag></Part>"
            for part in parts
        )
        body = f"<CompleteMultipartUpload>{inner}</CompleteMultipartUpload>".encode()
        headers = {"content-type": "application/xml"}
        try:
            _end(self._ask("POST", name, {"uploadId": upload}, memoryview(body), headers))
        except Rejected as err:
            # The answer to an earlier try may have been lost, and the object be there.
            if err.context.get("said") != "NoSuchUpload":
                raise
        answer = _end(self._ask("HEAD", name, {}))
        if answer.headers.get("content-length") != str(size_bytes):
            raise Damaged("s3.wrong_bytes", "the object has another size than was sent", name=name)

    def abort(self, name: str, upload: str) -> None:
        """Have the store forget an upload.

        Raises:
            NvrError: ``s3.*``.
        """
        self._leave()
        try:
            _end(self._ask("DELETE", name, {"uploadId": upload}))
        except Rejected as err:
            if err.context.get("said") != "NoSuchUpload":
                raise

    def remove(self, name: str) -> None:
        """Remove an object.

        Raises:
            NvrError: ``s3.*``.
        """
        self._leave()
        _end(self._ask("DELETE", name, {}))

    def _leave(self) -> None:
        if self._timeout_s > _LEAVING_S:
            self.close()
            self._timeout_s = _LEAVING_S

    def hurry(self) -> None:
        """End what blocks, as if the line were lost; from any thread."""
        connection = self._connection
        if connection is not None and connection.sock is not None:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(
        self,
        method: str,
        name: str,
        query: Mapping[str, str],
        body: memoryview | None = None,
        more: Mapping[str, str] | None = None,
    ) -> Sending:
        path = f"{self._base}/{self.place.prefix}{name}"
        at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._wall_us() / 1e6))
        headers = {
            "host": self._authority,
            "x-amz-date": at,
            "x-amz-content-sha256": hashlib.sha256(body).hexdigest() if body else _EMPTY,
            **(more or {}),
        }
        signer = sigv4.Signer(self.place.key_id, self._secret(), self.place.region)
        authorization = signer.authorization(method, path, query, headers)
        target = sigv4.encoded_path(path)
        if query:
            target += f"?{sigv4.encoded_query(query)}"
        finished = False
        try:
            connection = self._connected()
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for key, value in headers.items():
                connection.putheader(key, value)
            connection.putheader("authorization", authorization)
            if method != "HEAD":
                connection.putheader("content-length", str(len(body) if body else 0))
            connection.endheaders()
            if body:
                yield from self._paced(connection, body)
            answer = _read(connection)
            finished = True
        except ssl.SSLCertVerificationError as err:
            why = f"the store's certificate is not trusted ({err.verify_message})"
            raise Misconfigured("s3.untrusted", why, host=self._host) from err
        except (OSError, http.client.HTTPException, UnicodeError) as err:
            raise _away(f"{type(err).__name__}: {err}") from err
        finally:
            if not finished:
                self.close()
        if answer.headers.get("connection", "").lower() == "close":
            self.close()
        if not 200 <= answer.status < 300 or answer.find("Code"):
            raise _error(answer, self._wall_us())
        return answer

    def _paced(
        self, connection: http.client.HTTPConnection, body: memoryview
    ) -> Generator[None, None, None]:
        rate = self.place.bytes_per_s
        chunk = min(CHUNK_BYTES, max(4096, int(rate / 8))) if rate else CHUNK_BYTES
        for at in range(0, len(body), chunk):
            begun_s = time.monotonic()
            piece = body[at : at + chunk]
            try:
                connection.send(piece)
            except (BrokenPipeError, ConnectionResetError):
                return  # it may have said why
            if rate:
                time.sleep(max(0.0, len(piece) / rate - (time.monotonic() - begun_s)))
            yield

    def _connected(self) -> http.client.HTTPConnection:
        if self._connection is None:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
            connection.sock = self._socket()
            connection.auto_open = 0
            self._connection = connection
        return self._connection

    def _socket(self) -> socket.socket:
        """Connect to an address that is permitted.

        Raises:
            Rejected: ``s3.forbidden``.
            OSError: It does not answer.
        """
        found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        permitted = [one for one in found if self._permit(str(one[4][0]), self._port)]
        if not permitted:
            raise Rejected(
                "s3.forbidden",
                "the store's name leads to this box itself, the local link or a metadata service: "
                "where that is meant, write the address instead",
                host=self._host,
            )
        failure: OSError | None = None
        for family, kind, protocol, _, address in permitted:
            sock = socket.socket(family, kind, protocol)
            sock.settimeout(min(_CONNECT_S, self._timeout_s))
            # What waits in the system is no progress, and must be gone before an answer is late.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _WAITING_BYTES)
            try:
                sock.connect(address)
                if self._tls is not None:
                    sock = self._tls.wrap_socket(sock, server_hostname=self._host)
            except ssl.SSLCertVerificationError:
                sock.close()
                raise
            except OSError as err:
                sock.close()
                failure = err
            else:
                sock.settimeout(self._timeout_s)
                return sock
        assert failure is not None
        raise failure


def _end(sending: Sending) -> _Answer:
    while True:
        try:
            next(sending)
        except StopIteration as done:
            answer: _Answer = done.value
            return answer


def _read(connection: http.client.HTTPConnection) -> _Answer:
    response = connection.getresponse()
    body = response.read(_MOST_ANSWER_BYTES)
    if response.length:
        raise http.client.IncompleteRead(body, response.length)
    headers = {key.lower(): value for key, value in response.getheaders()}
    return _Answer(response.status, headers, body)


def _error(answer: _Answer, now_us: int) -> NvrError:
    said = answer.word("Code")
    context: dict[str, object] = {"status": answer.status, "said": said}
    denied = answer.status in {401, 403} or said in _DENIED
    if said in _CLOCK or (denied and _skewed(answer, now_us)):
        return Unavailable("s3.clock", "the store says that our clock is wrong", **context)
    if answer.status in _AWAY or said in {"InternalError", "SlowDown", "RequestTimeout"}:
        return Unavailable("s3.away", f"the store says {answer.status} {said}", **context)
    if said in _WRONG:
        return Damaged("s3.wrong_bytes", "the store has not got what was sent", **context)
    return _refusal(answer, context, denied=denied)


def _refusal(answer: _Answer, context: dict[str, object], *, denied: bool) -> NvrError:
    """What another try does not cure."""
    said = str(context["said"])
    if said == "NoSuchBucket":
        return Misconfigured("s3.no_bucket", "the store has no such bucket", **context)
    if 300 <= answer.status < 400 or said in {"AuthorizationHeaderMalformed", "PermanentRedirect"}:
        region = answer.word("Region")
        hint = f", which is {region}" if region else ""
        why = f"the bucket is elsewhere: set `region`{hint}, or the endpoint"
        return Misconfigured("s3.elsewhere", why, **context)
    if denied:
        why = "the store refuses key_id and secret, or they have no right to the bucket"
        return Rejected("s3.denied", why, **context)
    return Rejected("s3.refused", f"the store says {answer.status} {said}", **context)


def _skewed(answer: _Answer, now_us: int) -> bool:
    """Whether the store's clock is so far from ours that it trusts no signature of ours."""
    try:
        at = parsedate_to_datetime(answer.headers.get("date", ""))
    except ValueError:
        return False
    return abs(at.timestamp() - now_us / 1e6) > _SKEW_S


def _away(why: str) -> Unavailable:
    shown = "".join(letter if letter.isprintable() else "?" for letter in why)[:200]
    return Unavailable("s3.away", f"the store does not answer: {shown}")


def _context(ca: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(ca) if ca else None)
    except (OSError, ssl.SSLError) as err:
        raise Misconfigured(
            "s3.ca", f"the certificates cannot be read: {err}", file=str(ca)
        ) from err
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _numeric(host: str) -> bool:
    with contextlib.suppress(ValueError):
        ip_address(host)
        return True
    return False


def _is_md5(etag: str) -> bool:
    return re.fullmatch(r'"?[0-9a-f]{32}"?', etag) is not None
