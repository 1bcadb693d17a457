"""Who may do what: the table says it of every action of every listener, and the rest is refused.

A listener hands the keys of all its handlers to `require` when it starts and does not start if
one is missing. Each request then goes through `authorise`, which looks at the object: this
camera, this stretch of time. A camera on which somebody has no right at all does not exist for
them: the answer is the one for a name nobody ever used.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from nvr.auth.table import TABLE, Rule
from nvr.auth.user import Right, Span, Subject
from nvr.base.errors import Misconfigured, Rejected

Masked = Callable[[str, Span | None], bool]
"""Whether something of a camera's pictures, now or of a span, is hidden under masks."""


def anything(_camera: str, _span: Span | None) -> bool:
    """What is assumed of masks by a listener that does not know: everything is masked."""
    return True


def require(keys: Iterable[str], table: Mapping[str, Rule] = TABLE) -> None:
    """Check that every handler of a listener has a rule.

    Raises:
        Misconfigured: ``policy.missing`` with the keys that have none.
    """
    missing = sorted(set(keys) - table.keys())
    if missing:
        raise Misconfigured("policy.missing", "handlers without a rule", keys=", ".join(missing))


def authorise(
    subject: Subject,
    action: str,
    camera: str | None = None,
    span: Span | None = None,
    *,
    claimed: bool = True,
    masked: Masked = anything,
    shown: Literal["as it is", "masked"] = "as it is",
) -> None:
    """Let `subject` do `action`, or raise.

    Args:
        subject: Who asks.
        action: Key of the table.
        camera: Camera the action is about, whether or not there is one of that name.
        span: Stretch of recordings it is about, UTC microseconds.
        claimed: The box has an owner.
        masked: What is known of masks.
        shown: Whether pictures are handed out with the masks laid over them.

    Raises:
        Rejected: ``claim.needed``; ``auth.needed``: sign in first; ``camera.unknown``: no such
            camera as far as this subject may know; ``auth.denied``; ``auth.masked``: it needs the
            right ``unmasked``.
    """
    rule = TABLE.get(action)
    if rule is None:
        raise Rejected("auth.denied", "nobody may do this")
    if not claimed and not rule.unclaimed:
        raise Rejected("claim.needed", "the box has no owner yet: claim it on its page")
    if subject.kind not in rule.kinds:
        if subject.kind == "nobody":
            raise Rejected("auth.needed", "sign in first")
        raise Rejected("auth.denied", "this kind of account cannot do this")
    if rule.roles and subject.role not in rule.roles:
        raise Rejected("auth.denied", "your role cannot do this")
    if rule.right is not None:
        _check_camera(subject, rule.right, camera, own=rule.own)
    if rule.pictures and shown == "as it is" and camera is not None:
        _check_masks(subject, camera, span, masked)
    if span is not None and subject.recorded is not None:
        first_us, last_us = subject.recorded
        if span[0] < first_us or span[1] > last_us:
            raise Rejected("auth.denied", "these recordings are not open to you")


def unknown_camera() -> Rejected:
    """The one answer for a camera that is not there, and for one that must not be known."""
    return Rejected("camera.unknown", "there is no such camera")


def _check_masks(subject: Subject, camera: str, span: Span | None, masked: Masked) -> None:
    if "unmasked" not in subject.may(camera) and masked(camera, span):
        raise Rejected(
            "auth.masked",
            "parts of these pictures are hidden for privacy, and you have no right to see them",
            right="unmasked",
        )


def _check_camera(subject: Subject, right: Right, camera: str | None, *, own: bool) -> None:
    if camera is None:
        raise Rejected("auth.denied", "no camera was named")
    rights = subject.may(camera)
    if not rights:
        raise unknown_camera()
    if right not in rights:
        raise Rejected("auth.denied", f"you have no right to {right} on this camera", right=right)
    if own and subject.role != "admin" and camera not in subject.rights:
        raise Rejected("auth.denied", "this needs a right of its own", right=right)
