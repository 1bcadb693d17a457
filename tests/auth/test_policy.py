import itertools

import pytest

from nvr.auth.policy import authorise, require
from nvr.auth.table import TABLE
from nvr.auth.user import CEILING, NOBODY, RIGHTS, ROLES, Subject, rights_of
from nvr.base.errors import Misconfigured, Rejected


def bare(_camera: str, _span: object) -> bool:
    return False


def answer(*args, **kwargs) -> str:
    try:
        authorise(*args, **{"masked": bare, **kwargs})
    except Rejected as refused:
        return f"{refused.code} {refused.detail} {refused.context}"
    return "yes"


def test_what_is_not_in_the_table_is_refused_for_everybody():
    admin = Subject("user", "owner", "admin")
    assert answer(admin, "http GET /api/backdoor").startswith("auth.denied")
    with pytest.raises(Misconfigured) as refused:
        require(["http GET /", "http GET /api/backdoor", "rtsp RECORD cam/{name}"])
    assert refused.value.context["keys"] == "http GET /api/backdoor, rtsp RECORD cam/{name}"


PRE_AUTH = {
    *(
        f"onvif device {name}"
        for name in (
            "GetWsdlUrl", "GetServices", "GetServiceCapabilities", "GetCapabilities",
            "GetHostname", "GetSystemDateAndTime", "GetEndpointReference",
        )
    ),
    *(f"onvif {name} GetServiceCapabilities" for name in (
        "io", "media", "media2", "ptz", "event", "search", "recording", "replay"
    )),
}  # fmt: skip
"""What ONVIF's access class of that name has, and nothing else."""


def test_nobody_gets_past_the_front_door():
    for action in TABLE:
        got = answer(NOBODY, action, "gate")
        public = action in {
            "http GET /",
            "http GET /ui/{hash}/{path}",
            "http GET /api/box",
            "http POST /api/claim",
            "http POST /api/login",
            "http POST /api/logout",
            "rtsp OPTIONS cam/{name}",
            *PRE_AUTH,
        }
        assert (got == "yes") == public, action
        if not public:
            assert got.startswith("auth.needed")


def test_an_unclaimed_box_shows_its_page_and_takes_its_claim_only():
    for action in TABLE:
        got = answer(NOBODY, action, "gate", claimed=False)
        if got != "yes":
            assert got.startswith("claim.needed"), action
    open_ = [action for action in TABLE if answer(NOBODY, action, claimed=False) == "yes"]
    assert open_ == [
        "http GET /",
        "http GET /ui/{hash}/{path}",
        "http GET /api/box",
        "http POST /api/claim",
    ]


PICTURES = {
    "http GET /api/camera/{name}/gop",
    "http GET /api/camera/{name}/export",
    "http GET /api/camera/{name}/event/{number}/picture.jpg",
    "http GET /api/camera/{name}/preset/{number}/picture.jpg",
    "http GET /api/camera/{name}/snapshot.jpg",
    *(
        f"http GET {door}/{{camera}}/{what}/{{file}}"
        for door in ("/hls", "/link/{link}")
        for what in ("live", "rec")
    ),
    "ws /ws/live/{camera}",
    "ws /ws/playback/{camera}",
    *(
        f"rtsp {method} {place}/{{name}}"
        for place in ("cam", "rec")
        for method in (
            "DESCRIBE", "SETUP", "PLAY", "PAUSE", "GET_PARAMETER", "SET_PARAMETER", "TEARDOWN",
        )
    ),
    "onvif snapshot",
    "gb INVITE Play",
    "gb INVITE Playback",
    "gb INVITE Download",
    "gb SnapShotConfig",
}  # fmt: skip


def test_pictures_of_a_masked_camera_are_for_who_may_see_what_is_hidden():
    assert {action for action, rule in TABLE.items() if rule.pictures} == PICTURES
    spans = []

    def masked(camera: str, span: object) -> bool:
        spans.append(span)
        return camera == "gate"

    for action, rule in TABLE.items():
        if rule.right is None:
            continue
        kind = "user" if "user" in rule.kinds else "machine"
        for granted in ([rule.right], [rule.right, "unmasked"]):
            subject = Subject(kind, "u", "operator" if kind == "user" else None,
                              rights_of({"*": granted}))  # fmt: skip
            if answer(subject, action, "yard") != "yes":
                continue  # no operator has that right
            got = answer(subject, action, "gate", masked=masked)
            hidden = action in PICTURES and "unmasked" not in granted
            assert (got == "yes") != hidden, action
            assert got == "yes" or got.startswith("auth.masked")
            assert answer(subject, action, "yard", masked=masked) == "yes"
            # Laid over the pictures, the masks keep nobody away.
            assert answer(subject, action, "gate", masked=masked, shown="masked") == "yes"
    subject = Subject("user", "u", "operator", rights_of({"*": ["playback"]}))
    answer(subject, "http GET /api/camera/{name}/gop", "gate", (5, 9), masked=masked)
    assert spans[-1] == (5, 9)


def test_a_listener_that_knows_nothing_of_masks_shows_nothing_that_may_be_masked():
    subject = Subject("user", "u", "operator", rights_of({"*": ["live"]}))
    with pytest.raises(Rejected) as refused:
        authorise(subject, "ws /ws/live/{camera}", "gate")
    assert refused.value.code == "auth.masked"
    authorise(subject, "http GET /api/camera/{name}", "gate")


@pytest.mark.parametrize(("role", "granted"), list(itertools.product(ROLES, [*RIGHTS, None])))
def test_a_right_counts_where_role_and_grant_agree(role, granted):
    subject = Subject("user", "u", role, rights_of({"gate": [granted] if granted else []}))
    for action, rule in TABLE.items():
        if rule.right is None or "user" not in rule.kinds:
            continue
        may = role == "admin" or (granted == rule.right and granted in CEILING[role])
        assert (answer(subject, action, "gate") == "yes") == may, action
        if role != "admin":
            # Another camera is as unknown as one that never was.
            assert answer(subject, action, "yard") == answer(subject, action, "no-such")
            assert answer(subject, action, "yard").startswith("camera.unknown")
            assert answer(subject, action, None).startswith("auth.denied")


def test_a_line_for_a_camera_stands_above_the_star():
    subject = Subject("user", "u", "operator", rights_of({"*": ["live", "ptz"], "gate": []}))
    assert answer(subject, "control move", "yard") == "yes"
    assert answer(subject, "control move", "gate").startswith("camera.unknown")


SHARED = {
    "http GET /metrics",
    "http GET /api/camera/{name}/snapshot.jpg",
    "http GET /hls/{camera}/live/{file}",
    "http GET /hls/{camera}/rec/{file}",
}
"""Doors that both have: a server that watches the box, or a player, logs in as a machine."""


NOBODY_AT_ALL = {
    f"gb {name}" for name in ("TeleBoot", "DeviceUpgrade", "FormatSDCard", "TargetTrack")
}
"""What a platform may ask for, and never gets."""


def test_people_and_machines_do_not_swap_doors():
    rights = rights_of({"*": list(RIGHTS)})
    person = Subject("user", "u", "operator", rights)
    machine = Subject("machine", "m", None, rights)
    for action, rule in TABLE.items():
        prefixes = ("rtsp ", "onvif ", "gb ", "mqtt ", "http GET /link/")
        if action.startswith(prefixes) and not rule.kinds >= {"nobody"}:
            assert answer(person, action, "gate").startswith("auth.denied")
            assert (answer(machine, action, "gate") == "yes") == (action not in NOBODY_AT_ALL)
        elif action.startswith("output "):  # a door is opened by who may open this one
            own = "@gate" if "door" not in action else "gate"
            for subject in (person, machine):
                got = answer(subject, action, own)
                assert (got == "yes") != ("door" in action), (action, got)
            named = Subject("machine", "m", None, rights_of({"@gate": ["relay"]}))
            assert answer(named, action, "@gate") == "yes"
        elif action in SHARED:
            assert answer(person, action, "gate") == answer(machine, action, "gate") == "yes"
        elif not rule.kinds >= {"nobody"}:
            assert answer(machine, action, "gate").startswith("auth.denied")


def test_recordings_outside_the_window_of_an_account_are_closed():
    subject = Subject("user", "u", "viewer", rights_of({"*": ["playback"]}), (1000, 2000))
    action = "http GET /api/camera/{name}/gop"
    assert answer(subject, action, "gate", (1000, 2000)) == "yes"
    for span in ((999, 1500), (1500, 2001), (0, 10)):
        assert answer(subject, action, "gate", span).startswith("auth.denied")


def test_rights_that_are_none_are_refused():
    for wrong in ({"gate": ["fly"]}, {"../etc": ["live"]}, {"GATE": ["live"]}):
        with pytest.raises(Rejected):
            rights_of(wrong)
