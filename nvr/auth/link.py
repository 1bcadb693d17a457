"""Links: addresses that show one camera until a time, for players that cannot sign in.

A link says who made it, and shows no more than its maker may see when it is used: it dies with the
account, or with the right. Whoever has it can use it, so what masks hide is hidden from it even if
its maker may see that. Nothing is kept of a link but the box's key that signs all of them.

``base64url(JSON) . base64url(first half of HMAC-SHA256)``
"""

import base64
import hmac
import sqlite3
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from nvr.auth.machine import Machines
from nvr.auth.user import Span, Subject, Users
from nvr.base.clock import Clock
from nvr.base.errors import Rejected

MOST_S: Final = 30 * 86_400
_MOST_CHARS: Final = 400
_TAG_BYTES: Final = 16
_MOST_READ: Final = 256


@dataclass(frozen=True, slots=True)
class Link:
    """What a link says.

    Attributes:
        by: Name of the account that made it.
        kind: Kind of that account.
        made_us: When the account was made: a later one of the same name is another.
        camera: The one camera.
        until_us: UTC microseconds at which it ends.
        span: What of the recordings may be seen; None: what is live.
    """

    by: str
    kind: Literal["user", "machine"]
    made_us: int
    camera: str
    until_us: int
    span: Span | None = None


def link_key(db: sqlite3.Connection) -> bytes:
    """Return the box's key for links, made on first use. Commits."""
    db.execute("INSERT OR IGNORE INTO box VALUES ('link_key', hex(randomblob(32)))")
    (found,) = db.execute("SELECT value FROM box WHERE key = 'link_key'").fetchone()
    return bytes.fromhex(found)


class Links:
    """Makes and reads links.

    Args:
        key: Signs them. See `link_key`.
        users: Who may have made one.
        machines: As above.
        clock: Time source.
    """

    def __init__(self, key: bytes, users: Users, machines: Machines, clock: Clock) -> None:
        self._key, self._users, self._machines, self._clock = key, users, machines, clock
        self._read: OrderedDict[str, Link] = OrderedDict()

    def make(self, maker: Subject, camera: str, keep_s: int, span: Span | None = None) -> str:
        """Return a link of `maker`'s; whether it may is the caller's business.

        Raises:
            Rejected: ``link.invalid``: no account made it, or it would last too long.
        """
        account = self._account(maker.kind, maker.name)
        if maker.kind == "nobody" or account is None or not 1 <= keep_s <= MOST_S:
            raise Rejected("link.invalid", "a link lasts 30 days at most")
        until_us = self._clock.wall_us() + keep_s * 1_000_000
        said = msgspec.json.encode(Link(maker.name, maker.kind, account[1], camera, until_us, span))
        return f"{_coded(said)}.{_coded(self._tag(said))}"

    def read(self, text: str, camera: str, span: Span | None, *, live: bool) -> Subject:
        """Return whom a link stands for.

        Args:
            text: The link.
            camera: What is to be seen.
            span: Of its recordings; None if that is known later, or it is live.
            live: What is live is to be seen.

        Raises:
            Rejected: ``link.invalid``: it is none, is over, or is for something else.
        """
        link = self._link(text)
        if link is None or link.camera != camera or (link.span is None) != live:
            raise _invalid()
        account = self._account(link.kind, link.by)
        over = self._clock.wall_us() >= link.until_us
        if over or account is None or account[1] != link.made_us:
            raise _invalid()
        maker = account[0]
        rights = {camera: maker.may(camera) - {"unmasked", "ptz", "relay"}}
        recorded = _both(link.span, maker.recorded)
        if recorded and span and not (recorded[0] <= span[0] and span[1] <= recorded[1]):
            raise _invalid()
        return Subject("machine", link.by, None, rights, None if live else recorded)

    def _link(self, text: str) -> Link | None:
        """What a link says if it is ours; a player shows the same one with every request."""
        found = self._read.get(text)
        if found is None:
            found = self._verified(text)
            if found is not None:
                self._read[text] = found
                if len(self._read) > _MOST_READ:
                    self._read.popitem(last=False)
        return found

    def _verified(self, text: str) -> Link | None:
        head, _, tail = text.partition(".")
        try:
            said, tag = _plain(head), _plain(tail)
            right = len(text) <= _MOST_CHARS and hmac.compare_digest(tag, self._tag(said))
            return msgspec.json.decode(said, type=Link) if right else None
        except (ValueError, msgspec.DecodeError):
            return None

    def _account(self, kind: str, name: str) -> tuple[Subject, int] | None:
        if kind == "user":
            user = self._users.find(name)
            return (user.subject(), user.made_us) if user else None
        found = self._machines.find(name)
        return (found.subject(), found.made_us) if found else None

    def _tag(self, said: bytes) -> bytes:
        return hmac.digest(self._key, said, "sha256")[:_TAG_BYTES]


def _both(one: Span | None, other: Span | None) -> Span | None:
    if one is None or other is None:
        return one or other
    return max(one[0], other[0]), min(one[1], other[1])


def _coded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _plain(text: str) -> bytes:
    if "=" in text:
        raise ValueError("padded")
    return base64.b64decode(text.encode() + b"=" * (-len(text) % 4), b"-_", validate=True)


def _invalid() -> Rejected:
    return Rejected("link.invalid", "this link is none, or is over: have a new one made")
