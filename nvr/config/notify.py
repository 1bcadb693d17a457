"""Upstream systems that are told what happens: ``[[mqtt]]``, ``[[webhook]]``, ``[[syslog]]``."""

from collections.abc import Sequence
from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from nvr.base.shape import Fault
from nvr.config.value import Name

# A kind of event, or its begin and a star.
Event = Annotated[str, Meta(pattern=r"^[a-z][a-z_.]{0,47}\*?$|^\*$")]

Topic = Annotated[str, Meta(pattern=r"^([A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*)?$", max_length=128)]


class Told(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all of them have."""

    name: Name
    on: bool = False
    url: Annotated[str, Meta(max_length=512)]
    # The CA that must have signed its certificate, beside nvr.toml; else the system's.
    ca: Annotated[str, Meta(min_length=1)] | None = None
    # SHA-256 of the one certificate that is taken.
    pin: Annotated[str, Meta(pattern=r"^[0-9a-fA-F:]{64,95}$")] | None = None
    events: Annotated[tuple[Event, ...], Meta(max_length=32)] = ()
    cameras: Annotated[tuple[Name, ...], Meta(max_length=64)] = ()


class Mqtt(Told, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A broker; its password is in ``secrets.toml``."""

    url: Annotated[str, Meta(pattern=r"^mqtts?://[^@/?#\s]+$", max_length=512)]
    user: Annotated[str, Meta(max_length=128)] = ""
    # What all topics begin with; empty: nvr/ and the box's UUID.
    topic: Topic = ""
    # The machine credential whose rights the broker has: what it is told, and what it may do.
    credential: Annotated[str, Meta(min_length=1, max_length=32)]
    commands: bool = False
    # Home Assistant is told what there is, below its usual topic.
    discovery: bool = False


class Webhook(Told, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A receiver of JSON by POST; its secret is in ``secrets.toml``."""

    url: Annotated[str, Meta(pattern=r"^https?://[^@\s]+$", max_length=512)]


class Syslog(Told, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A syslog server."""

    url: Annotated[str, Meta(pattern=r"^(tls|tcp|udp)://[^@/?#\s]+$", max_length=512)]
    # Rows of the audit log go there too.
    audit: bool = True


class NotifySecret(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A broker's password or a webhook's secret."""

    secret: Annotated[str, Meta(min_length=1, max_length=256)]


def unfit(kind: str, told: Sequence[Told]) -> list[Fault]:
    """Faults of one kind that its shape does not show."""
    found = []
    names: set[str] = set()
    for n, one in enumerate(told):
        at = f"$.{kind}[{n}]"
        if one.name in names:
            found.append(Fault(f"{at}.name", f"{one.name} is used twice"))
        names.add(one.name)
        try:
            parts = urlsplit(one.url)
            host, port = parts.hostname or "", parts.port
        except ValueError as err:
            found.append(Fault(f"{at}.url", str(err)))
            continue
        if not host or port == 0:
            found.append(Fault(f"{at}.url", f"{one.url} names no host, or port 0"))
        secure = parts.scheme in {"mqtts", "https", "tls"}
        found += [
            Fault(f"{at}.{key}", f"it is for TLS, and {one.url} is none")
            for key in ("ca", "pin")
            if getattr(one, key) is not None and not secure
        ]
    return found
