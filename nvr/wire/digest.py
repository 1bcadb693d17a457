"""HTTP authentication as RTSP and SIP use it: Basic, and Digest with MD5, SHA-256 and SM3.

A client answers the strongest challenge that it knows and never sends Basic in answer to a
Digest challenge. SM3 is what platforms of GB/T 28181 may ask for; a server of ours never does. A
server keeps no list of nonces: a nonce is ``time.random.HMAC``, good for five minutes, and what a
connection has used is counted by `Counter`.

Source: RFC 7616 (Digest), RFC 2617 (what cameras still speak), RFC 7617 (Basic);
GB/T 28181-2022, section 8.2, and GB/T 32905-2016 (SM3).
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

Algorithm = Literal["MD5", "SHA-256"]
Answered = Algorithm | Literal["SM3"]

NONCE_LIFE_S: Final = 300.0
OFFERED: Final[tuple[Algorithm, ...]] = ("SHA-256", "MD5")
"""Strongest first; ffmpeg knows MD5 only and takes the one it knows."""

_HASH: Final[Mapping[Answered, str]] = {"MD5": "md5", "SHA-256": "sha256", "SM3": "sm3"}
_NAMED: Final[Mapping[str, Answered]] = {
    name: name for name, kind in _HASH.items() if kind in hashlib.algorithms_available
}
_RANK: Final[Mapping[Answered, int]] = {"SHA-256": 3, "SM3": 2, "MD5": 1}
_PAIR: Final = re.compile(r'\s*([A-Za-z0-9_*-]{1,32})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))\s*')


def _digest(algorithm: Answered, text: str) -> str:
    return hashlib.new(_HASH[algorithm], text.encode()).hexdigest()


def parameters(text: str) -> dict[str, str]:
    """Split ``name=value, name="value"``; names in lower case, the first of a name counts."""
    found: dict[str, str] = {}
    at = 0
    while match := _PAIR.match(text, at):
        quoted, plain = match.group(2), match.group(3)
        value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
        found.setdefault(match.group(1).lower(), value)
        at = match.end()
        if text[at : at + 1] != ",":
            break
        at += 1
    return found


def ha1(user: str, realm: str, password: str, algorithm: Answered) -> str:
    """What a server keeps instead of the password: H(user:realm:password), hexadecimal."""
    return _digest(algorithm, f"{user}:{realm}:{password}")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One ``WWW-Authenticate`` header, as far as we can answer it.

    Attributes:
        scheme: ``basic`` or ``digest``.
        realm: Name of the protected space.
        nonce: The server's nonce.
        algorithm: Hash of a Digest challenge.
        session: The ``-sess`` variant, where nonces go into HA1.
        qop: ``auth`` is offered.
        opaque: To be sent back; None if there was none.
        stale: The credentials were right and only the nonce too old.
    """

    scheme: Literal["basic", "digest"]
    realm: str
    nonce: str = ""
    algorithm: Answered = "MD5"
    session: bool = False
    qop: bool = False
    opaque: str | None = None
    stale: bool = False

    @classmethod
    def parse(cls, header: str) -> "Challenge | None":
        """Read the header's value; None if we cannot answer it."""
        scheme, _, rest = header.strip().partition(" ")
        given = parameters(rest)
        if scheme.lower() == "basic":
            return cls("basic", given.get("realm", ""))
        name = given.get("algorithm", "MD5").upper()
        session = name.endswith("-SESS")
        algorithm = _NAMED.get(name.removesuffix("-SESS"))
        offers = [word.strip().lower() for word in given.get("qop", "").split(",")]
        if (
            scheme.lower() != "digest"
            or not given.get("nonce")
            or algorithm is None
            or ("qop" in given and "auth" not in offers and offers != [""])
        ):
            return None
        return cls(
            "digest",
            given.get("realm", ""),
            given["nonce"],
            algorithm,
            session,
            "auth" in offers,
            given.get("opaque"),
            given.get("stale", "").lower() == "true",
        )


def strongest(headers: Iterable[str]) -> Challenge | None:
    """Choose which of a server's challenges to answer."""
    known = [found for header in headers if (found := Challenge.parse(header))]
    return max(known, key=lambda c: _RANK[c.algorithm] if c.scheme == "digest" else 0, default=None)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _answer(
    given: Mapping[str, str], secret: str, method: str, algorithm: Answered, session: bool
) -> str:
    nonce = given["nonce"]
    if session:
        secret = _digest(algorithm, f"{secret}:{nonce}:{given.get('cnonce', '')}")
    request = _digest(algorithm, f"{method}:{given['uri']}")
    if given.get("qop"):
        middle = f"{nonce}:{given.get('nc', '')}:{given.get('cnonce', '')}:{given['qop']}"
    else:
        middle = nonce
    return _digest(algorithm, f"{secret}:{middle}:{request}")


@dataclass(slots=True)
class Login:
    """Client side: answers one server's challenges for one account.

    Attributes:
        user: Account name.
        password: Its password; shown in no representation.
        challenge: The challenge being answered, once there was one.
    """

    user: str
    password: str = field(repr=False)
    challenge: Challenge | None = None
    _count: int = 0
    _accepted: bool = False
    _refusals: int = 0

    def challenged(self, headers: Iterable[str]) -> bool:
        """Take a 401's challenges. False: the answer would be the same as the one refused."""
        before, self.challenge = self.challenge, strongest(headers)
        fresh = before is None or self._accepted
        self._count = 0
        self._accepted = False
        self._refusals += 1
        if self.challenge is None or self._refusals > 3:
            return False  # a server that calls every nonce stale would keep us here for ever
        return fresh or self.challenge.stale

    def accepted(self) -> None:
        """The last answer was right: a later 401 means an expired nonce, said or not."""
        self._accepted = self.challenge is not None
        self._refusals = 0

    def authorization(self, method: str, uri: str, cnonce: str) -> str | None:
        """Value of the ``Authorization`` header, None before any challenge.

        Args:
            method: Request method.
            uri: The request's URI, exactly as on its first line.
            cnonce: A fresh random word.
        """
        asked = self.challenge
        if asked is None:
            return None
        if asked.scheme == "basic":
            return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        self._count += 1
        given = {"nonce": asked.nonce, "uri": uri}
        if asked.qop:
            given |= {"qop": "auth", "nc": f"{self._count:08x}"}
        if asked.qop or asked.session:
            given["cnonce"] = cnonce
        secret = ha1(self.user, asked.realm, self.password, asked.algorithm)
        answer = _answer(given, secret, method, asked.algorithm, asked.session)
        parts = [
            f"username={_quoted(self.user)}",
            f"realm={_quoted(asked.realm)}",
            f"nonce={_quoted(asked.nonce)}",
            f"uri={_quoted(uri)}",
            f'response="{answer}"',
        ]
        # Cameras older than RFC 7616 choke on parameters they did not ask for.
        if asked.algorithm != "MD5" or asked.session:
            parts.append(f"algorithm={asked.algorithm}{'-sess' if asked.session else ''}")
        if asked.opaque is not None:
            parts.append(f"opaque={_quoted(asked.opaque)}")
        if "cnonce" in given:
            parts.append(f"cnonce={_quoted(cnonce)}")
        if asked.qop:
            parts += ["qop=auth", f"nc={given['nc']}"]
        return "Digest " + ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Answer:
    """A Digest ``Authorization`` header, parsed and well-formed but not yet checked."""

    user: str
    algorithm: Algorithm
    nonce: str
    count: int
    given: Mapping[str, str]

    @classmethod
    def parse(cls, header: str) -> "Answer | None":
        """Read the header's value; None if it is no usable Digest answer."""
        scheme, _, rest = header.strip().partition(" ")
        given = parameters(rest)
        # A client that took SHA-256 and does not say so (aiortsp) is known by what came out.
        usual = "SHA-256" if len(given.get("response", "")) == 64 else "MD5"
        algorithm = given.get("algorithm", usual).upper()
        if (
            scheme.lower() != "digest"
            or algorithm not in OFFERED
            or not all(given.get(name) for name in ("username", "nonce", "uri", "response"))
            or given.get("qop", "auth") != "auth"
        ):
            return None
        count = 0
        if "qop" in given:
            if not re.fullmatch(r"[0-9a-fA-F]{8}", given.get("nc", "")) or not given.get("cnonce"):
                return None
            count = int(given["nc"], 16)
        name: Algorithm = "MD5" if algorithm == "MD5" else "SHA-256"
        return cls(given["username"], name, given["nonce"], count, given)

    def proves(self, secret: str, realm: str, method: str, uri: str) -> bool:
        """Whether the sender knows the password behind `secret`, the HA1 for our algorithm.

        The URI inside the answer counts for the hash and must name what is asked for: ffmpeg
        and GStreamer send the request URI, some clients only its path.
        """
        claimed = self.given["uri"]
        path = re.sub(r"^[a-z]+://[^/]*", "", uri)
        right = _answer(self.given, secret, method, self.algorithm, session=False)
        same = hmac.compare_digest(right.encode(), self.given["response"].lower().encode())
        return same and self.given.get("realm") == realm and claimed in (uri, path)


class Nonces:
    """Server side: nonces that prove their own age and origin.

    Args:
        key: Random secret of this process, 32 bytes.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def _mac(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), "sha256").hexdigest()[:32]

    def make(self, now_s: float, salt: bytes) -> str:
        """Return a fresh nonce; `salt` is 8 random bytes."""
        text = f"{round(now_s * 1000):x}.{salt.hex()}"
        return f"{text}.{self._mac(text)}"

    def age_s(self, nonce: str, now_s: float) -> float | None:
        """Seconds since we made `nonce`; None if we never did."""
        text, _, mac = nonce.rpartition(".")
        if not text or not hmac.compare_digest(mac.encode(), self._mac(text).encode()):
            return None
        return now_s - int(text.partition(".")[0], 16) / 1000


@dataclass(slots=True)
class Counter:
    """What one connection has used of its nonces, so that a recorded request is no use twice."""

    _seen: dict[str, int] = field(default_factory=dict)

    def issued(self, nonce: str) -> None:
        """The connection was given `nonce`. Only the last eight count."""
        self._seen[nonce] = 0
        while len(self._seen) > 8:
            del self._seen[next(iter(self._seen))]

    def take(self, answer: Answer) -> bool:
        """Use up `answer`'s count; False if the nonce is not this connection's or is replayed.

        Clients without ``qop`` (old ffmpeg) send no count: they may repeat a nonce, inside the
        one connection that got it.
        """
        last = self._seen.get(answer.nonce)
        if last is None:
            return False
        if answer.count == 0:
            return last == 0
        if answer.count <= last:
            return False
        self._seen[answer.nonce] = answer.count
        return True


def challenges(realm: str, nonce: str, *, stale: bool = False) -> list[str]:
    """Values of our ``WWW-Authenticate`` headers, strongest first."""
    tail = ", stale=true" if stale else ""
    return [
        f'Digest realm={_quoted(realm)}, nonce="{nonce}", algorithm={name}, qop="auth"{tail}'
        for name in OFFERED
    ]
