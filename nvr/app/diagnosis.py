"""What is wrong with a camera, in a person's words: from what it said and what was seen of it."""

from typing import Final

from nvr.base.errors import NvrError
from nvr.media.find import Cure, Finding, Login, Trial, Weight
from nvr.media.onvif import Device, Profile

CLOCK_OFF_S: Final = 2.0
"""A camera shows whole seconds: less is not seen for sure."""
GOP_LONG_S: Final = 2.2
SUB_MOST_PX: Final = 1280
"""A sub stream is no wider: it is for small tiles and for looking at pictures."""
RECORDED: Final = ("h264", "h265")
RESORT: Final = ("jpeg",)
"""Recorded as well, where a camera has nothing better: it takes several times the disk."""
_FACTORY: Final = frozenset(
    ("", "admin", "12345", "123456", "1234", "password", "888888", "666666", "pass", "root")
)
_ORDER: Final = {"alarm": 0, "warn": 1, "note": 2}


def suggested(
    profiles: tuple[Profile, ...], main: str = "", sub: str = ""
) -> tuple[Profile | None, Profile | None]:
    """Choose what is to be recorded and what is for small tiles.

    The main stream is the largest of the first picture that can be recorded; the sub stream is the
    largest of the same picture that is no wider than `SUB_MOST_PX` and smaller than the main one.

    Args:
        profiles: What the camera offers.
        main: Token of the one that is wanted, empty to choose.
        sub: The same; ``-`` for none.
    """
    fitting = [p for p in profiles if p.codec in RECORDED]
    fitting = fitting or [p for p in profiles if p.codec in RESORT]
    chosen = next((p for p in profiles if p.token == main), None)
    if chosen is None and fitting:
        source = fitting[0].source
        same = [p for p in fitting if p.source == source]
        chosen = max(same, key=lambda p: (p.width_px * p.height_px, p.kbit_s))
    if chosen is None or sub == "-":
        return chosen, None
    second = next((p for p in profiles if p.token == sub), None)
    if second is None:
        smaller = [
            p
            for p in fitting
            if p.source == chosen.source
            and p.token != chosen.token
            and 0 < p.width_px <= SUB_MOST_PX
            and p.width_px * p.height_px < chosen.width_px * chosen.height_px
        ]
        second = max(smaller, key=lambda p: p.width_px * p.height_px, default=None)
    return chosen, second


def findings(
    device: Device | None,
    main: Trial | None,
    sub: Trial | None,
    err: NvrError | None,
    login: Login,
    known: str,
) -> tuple[Finding, ...]:
    """Return what is the matter, the worst first."""
    found: list[Finding] = []
    if known:
        found.append(Finding("camera.known", "note", f"it is the camera {known} of this box"))
    if err is not None:
        found.append(_refusal(err))
    elif main is None:
        found.append(
            Finding("onvif.no_stream", "alarm", "it offers no stream in H.264, H.265 or JPEG")
        )
    else:
        found += _of_main(main)
        found += _of_sub(main, sub, wanted=login.sub != "-")
    if device is not None:
        found += _of_clock(device)
        if login.user and login.password.lower() in _FACTORY:
            said = "its password is one that every such camera had in the factory"
            found.append(Finding("camera.factory_password", "warn", said))
    return tuple(sorted(found, key=lambda one: _ORDER[one.weight]))


def _refusal(err: NvrError) -> Finding:
    cure: Cure = "login" if err.code in {"onvif.refused", "onvif.locked"} else ""
    values = tuple(
        (key, float(value))
        for key in ("tries", "locked_s", "retry_after_s")
        if isinstance(value := err.context.get(key), int | float)
    )
    return Finding(err.code, "alarm", err.detail, cure, values)


def _of_main(main: Trial) -> list[Finding]:
    if main.code and not main.codec:
        cure: Cure = "login" if main.code == "camera.refused" else ""
        return [Finding(main.code, "alarm", main.detail, cure)]
    found = []
    if main.codec in RESORT:
        said = "it is recorded in JPEG, which takes several times the disk of H.264"
        found.append(Finding("camera.jpeg", "note", said))
    if main.code:
        found.append(Finding(main.code, "warn", main.detail))
    if main.gop_s > GOP_LONG_S:
        said = f"key frames come every {main.gop_s:g} s, so playback is slow"
        values = (("gop_s", main.gop_s),)
        found.append(Finding("camera.gop_long", "warn", said, "gop", values))
    elif not main.gop_s and not main.code:
        said = "no two key frames came while it was watched"
        found.append(Finding("camera.gop_long", "warn", said, "gop", (("gop_s", 10.0),)))
    return found


def _of_sub(main: Trial, sub: Trial | None, *, wanted: bool) -> list[Finding]:
    weight: Weight = "warn"
    if sub is None:
        if wanted and main.profile.width_px > SUB_MOST_PX:
            said = "it offers no smaller stream: tiles and looking at pictures cost more"
            return [Finding("onvif.no_sub", weight, said)]
        return []
    if sub.code and not sub.codec:
        return [
            Finding("camera.sub_missing", weight, f"its sub stream does not come: {sub.detail}")
        ]
    if sub.gop_s > GOP_LONG_S and main.gop_s <= GOP_LONG_S:
        said = f"its sub stream has a key frame only every {sub.gop_s:g} s"
        return [Finding("camera.gop_long", weight, said, "gop", (("gop_s", sub.gop_s),))]
    return []


def _of_clock(device: Device) -> list[Finding]:
    off_s = device.clock_offset_s
    if off_s is None or abs(off_s) <= CLOCK_OFF_S:
        return []
    said = f"its clock is {abs(off_s):.0f} s {'fast' if off_s > 0 else 'slow'}"
    return [Finding("onvif.clock_off", "warn", said, "clock", (("off_s", round(off_s, 1)),))]
