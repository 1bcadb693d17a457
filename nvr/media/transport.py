"""How a stream's packets come to us, as capture finds out and the page shows."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Way: TypeAlias = Literal["tcp", "udp", "multicast", "http"]
Wish: TypeAlias = Literal["auto", "tcp", "udp", "multicast", "http"]
Why: TypeAlias = Literal["", "refused", "silent", "unreachable"]
Proof: TypeAlias = Literal["", "unverified", "pinned", "signed"]


@dataclass(frozen=True, slots=True)
class Carried:
    """How packets come.

    Attributes:
        way: ``tcp``, ``udp``, ``multicast`` or ``http``; empty as long as nothing is connected.
        instead_of: What was tried before it in vain, empty if it is the first choice.
        why: ``refused``: the server does not offer that; ``silent``: nothing came over it;
            ``unreachable``: its port is closed.
        proof: Whether it goes through TLS, and with whom: empty without; ``unverified`` with
            whoever answers; ``pinned`` with the owner of one certificate; ``signed`` with whom a
            CA vouches for.
    """

    way: Way | Literal[""] = ""
    instead_of: Way | Literal[""] = ""
    why: Why = ""
    proof: Proof = ""


NOT_CARRIED = Carried()


@dataclass(frozen=True, slots=True)
class ReachSettings:
    """How a camera is to be reached. See ``[[camera]]`` of the configuration.

    Attributes:
        transport: ``auto`` or one of the ways.
        tls_pin: SHA-256 of the one certificate that is taken, hexadecimal, empty for any.
        tls_ca: Name of the file of the CA that must have signed it, empty for none.
        audio: Its sound is taken; if not, it is not even asked for.
    """

    transport: str = "auto"
    tls_pin: str = ""
    tls_ca: str = ""
    audio: bool = True


@dataclass(frozen=True, slots=True)
class Reached:
    """How one stream is reached now.

    Attributes:
        carried: How its packets come, or came last.
        fingerprint: SHA-256 of the certificate that its camera showed last, empty if none.
    """

    carried: Carried
    fingerprint: str
