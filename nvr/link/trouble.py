"""What goes wrong between us and a camera's services, as one of our errors."""

import re
import socket
from dataclasses import dataclass

from nvr.base.errors import Damaged, Misconfigured, NvrError, Rejected, Unavailable

REFUSED_S = 30.0
"""A log-in that was refused is not tried again for so long: cameras lock accounts."""

_LOCKED = re.compile(rb"lock(ed|out)|userlock|temporarily (disabled|blocked)", re.IGNORECASE)
_TRIES = re.compile(rb"<(?:\w+:)?retryLoginTime>\s*(\d{1,3})\s*<")
_UNLOCK = re.compile(rb"<(?:\w+:)?unlockTime>\s*(\d{1,6})\s*<")


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a camera said with a 401 or 403.

    Attributes:
        locked: It takes no log-in at all for now.
        tries: How many are left, None if it does not say.
        locked_s: For how long it is locked, None if it does not say.
    """

    locked: bool
    tries: int | None
    locked_s: int | None


def refusal(body: bytes) -> Refusal:
    """Read the body of a refusal. Field names as Hikvision's devices write them."""
    head = body[:4096]
    tries, unlock = _TRIES.search(head), _UNLOCK.search(head)
    locked_s = int(unlock.group(1)) if unlock else None
    left = int(tries.group(1)) if tries else None
    locked = bool(locked_s) or (left is None and bool(_LOCKED.search(head)))
    return Refusal(locked, left, locked_s)


def refused(said: Refusal | None) -> Rejected:
    """A log-in that the camera did not take."""
    context: dict[str, object] = {}
    if said is not None and said.locked:
        if said.locked_s:
            context["locked_s"] = said.locked_s
        return Rejected("onvif.locked", "the camera takes no log-in for now", **context)
    if said is not None and said.tries is not None:
        context["tries"] = said.tries
    return Rejected("onvif.refused", "the camera does not take this user and password", **context)


def silent() -> Unavailable:
    """It does not answer in time."""
    return Unavailable("onvif.silent", "the camera does not answer in time")


def garbage(why: str) -> Damaged:
    """It answers what nobody can read."""
    return Damaged("onvif.garbage", f"the camera's answer is not ONVIF: {why[:120]}")


def forbidden() -> Rejected:
    """It is where we may not connect to."""
    return Rejected(
        "onvif.forbidden",
        "the address is this box itself, the local link or a metadata service; "
        "only local_cameras in nvr.toml can allow that",
    )


def unsupported(what: str) -> Misconfigured:
    """It has no such service."""
    return Misconfigured("onvif.unsupported", f"the camera offers no {what}")


def fault(said: str) -> Rejected:
    """It understood and does not want to."""
    kept = "".join(c for c in said if c.isprintable())[:160]
    return Rejected("onvif.fault", f"the camera says no: {kept}", said=kept)


def unreachable(err: OSError) -> Unavailable:
    """No connection comes about."""
    if isinstance(err, socket.gaierror):
        return Unavailable("onvif.unreachable", "nobody knows the camera's name")
    why = (err.strerror or "").lower() or type(err).__name__
    return Unavailable("onvif.unreachable", f"no connection to the camera: {why[:80]}")


def bug(err: BaseException) -> NvrError:
    """What we did not foresee; most likely the camera answered something odd."""
    said = "".join(c for c in str(err) if c.isprintable())[:120]
    return Damaged(
        "onvif.garbage", f"the camera's answer cannot be used: {type(err).__name__}: {said}"
    )
