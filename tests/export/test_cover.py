"""What a camera's own signatures cover, on what ONVIF's reference implementation signed."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvr.base.errors import Misconfigured
from nvr.export import certificate
from nvr.export.camera import camera_lines
from nvr.wire import media_signing
from tests.export import signed
from tests.export.signed import GOP, NAMES, STEP, Unit, W, codec, kinds, not_covered, of, units

LOOK = settings(max_examples=60, deadline=None)
WITH_LIST, WITHOUT = ["plain.h264", "plain.h265", "sha512.h265"], ["low.h264", "low.h265"]
GROUPS = 4  # of five, the last one's signature comes after the end


def groups(name: str) -> list[tuple[Unit, ...]]:
    found = units(name)
    return [found[at : at + GOP] for at in range(0, len(found), GOP)]


def joined(parts: list[tuple[Unit, ...]]) -> list[Unit]:
    return [unit for part in parts for unit in part]


@pytest.mark.parametrize("name", NAMES)
def test_what_was_not_touched_is_valid_up_to_the_last_signature(name: str) -> None:
    tree = of(name)
    assert (tree["verdict"], tree["pictures"], tree["note"]) == ("valid", 40, "")
    covered = {"ended.h264": 40, "partial.h264": 38}.get(name, GROUPS * GOP)
    assert tree["covered"] == covered
    assert kinds(tree) == (["open"] if covered < 40 else [])
    assert not_covered(tree) == set(range(covered, 40))
    assert tree["chain"] == ("untrusted" if name.startswith("other") else "trusted")
    assert tree["certificate"]["subject"].startswith("CN=Synthetic camera")
    assert tree["hash"] == ("sha512" if "sha512" in name else "sha256")
    assert of(name, ca=False)["chain"] == "unchecked"


def test_without_such_seis_it_is_absent() -> None:
    assert of("plain.h264", stripped("plain.h264")) == {"file": "clip.mp4", "verdict": "absent"}


def stripped(name: str, keep: frozenset[int] = frozenset()) -> list[Unit]:
    return [
        unit if n in keep else tuple(x for x in unit if media_signing.read(codec(name), x) is None)
        for n, unit in enumerate(units(name))
    ]


@LOOK
@given(st.sampled_from([*WITH_LIST, *WITHOUT, "partial.h264"]), st.data())
def test_a_bit_flip_in_a_slice_is_found_where_it_is(name: str, data: st.DataObject) -> None:
    n = data.draw(st.integers(0, 37))
    changed = list(units(name))
    at = next(i for i, nal in enumerate(changed[n]) if media_signing.kind(codec(name), nal))
    changed[n] = flipped(changed[n], at, data)
    tree = of(name, changed)
    assert tree["verdict"] == "partial" or n // GOP == GROUPS
    bad = not_covered(tree)
    kind = media_signing.kind(codec(name), changed[n][at])
    same = kind == media_signing.kind(codec(name), units(name)[n][at])  # it is still a slice
    own = set(range(n // GOP * GOP, (n // GOP + 1) * GOP))
    assert n in bad if same else bad & own or "missing" in kinds(tree), tree["stretches"]
    assert bad - set(range(GROUPS * GOP, 40)) <= own, "nothing but its group is suspected"
    if name in WITH_LIST and n % GOP and n < GROUPS * GOP and same:
        assert bad & own == {n}, "and with a list of hashes, nothing but the picture"


def flipped(unit: Unit, at: int, data: st.DataObject, below: int | None = None) -> Unit:
    raw = bytearray(unit[at])
    raw[data.draw(st.integers(0, (below or len(raw)) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    return (*unit[:at], bytes(raw), *unit[at + 1 :])


@LOOK
@given(st.sampled_from([*WITH_LIST, *WITHOUT]), st.integers(0, GROUPS - 1), st.data())
def test_a_bit_flip_in_a_signed_message_leaves_its_group_unproven(
    name: str, group: int, data: st.DataObject
) -> None:
    changed, n = list(units(name)), (group + 1) * GOP + 1
    at = next(i for i, nal in enumerate(changed[n]) if media_signing.read(codec(name), nal))
    sei = media_signing.read(codec(name), changed[n][at])
    assert sei is not None
    changed[n] = flipped(changed[n], at, data, len(sei.message))
    tree = of(name, changed)
    assert set(range(group * GOP, (group + 1) * GOP)) <= not_covered(tree)
    assert tree["verdict"] == "partial"
    now = media_signing.read(codec(name), changed[n][at])
    if now is None or now.signature:  # else it is taken for a part of the group it is in
        assert "altered" not in kinds(tree), "the pictures may well be right"


@LOOK
@given(st.sampled_from(NAMES), st.integers(0, 39), st.data())
def test_flips_anywhere_at_all_never_raise(name: str, n: int, data: st.DataObject) -> None:
    changed = list(units(name))
    at = data.draw(st.integers(0, len(changed[n]) - 1))
    changed[n] = flipped(changed[n], at, data)
    assert of(name, changed)["verdict"] in {"valid", "partial"}


@pytest.mark.parametrize("name", [*WITH_LIST, *WITHOUT, "escaped.h264", "rsa.h264"])
@pytest.mark.parametrize("group", [1, 2])
def test_a_removed_group_is_missing_there(name: str, group: int) -> None:
    parts = groups(name)
    del parts[group]
    tree = of(name, joined(parts))
    assert tree["verdict"] == "partial"
    holes = [one for one in tree["stretches"] if one["kind"] == "missing"]
    assert [one["first_sample"] for one in holes] == [group * GOP]
    assert holes[0]["from_us"] == W + group * GOP * STEP
    # The message about the group before came with the removed one.
    assert not_covered(tree) - set(range(24, 32)) == set(range((group - 1) * GOP, group * GOP))


@pytest.mark.parametrize("name", [*WITH_LIST, *WITHOUT])
def test_a_removed_group_whose_message_is_there_is_missing(name: str) -> None:
    """Somebody keeps the SEIs, and takes out the pictures of group 1."""
    parts = groups(name)
    message = next(nal for nal in parts[2][1] if media_signing.read(codec(name), nal))
    before = next(nal for nal in parts[1][1] if media_signing.read(codec(name), nal))
    rest = tuple(nal for nal in parts[2][1] if nal is not message)
    parts[2] = (parts[2][0], (before, message, *rest), *parts[2][2:])
    tree = of(name, joined([parts[0], *parts[2:]]))
    assert tree["verdict"] == "partial"
    assert kinds(tree) == ["missing", "open"]
    assert tree["stretches"][0]["first_sample"] == GOP
    assert tree["covered"] == 24


@pytest.mark.parametrize("name", [*WITH_LIST, *WITHOUT])
def test_swapped_groups_are_not_valid(name: str) -> None:
    parts = groups(name)
    parts[1], parts[2] = parts[2], parts[1]
    tree = of(name, joined(parts))
    assert tree["verdict"] == "partial"
    assert kinds(tree) != ["open"]


def bare(name: str, unit: Unit) -> Unit:
    return tuple(nal for nal in unit if media_signing.read(codec(name), nal) is None)


def message(name: str, group: int) -> bytes:
    """What is signed about a group; it comes in the second picture of the next one."""
    unit = groups(name)[group + 1][1]
    return next(nal for nal in unit if media_signing.read(codec(name), nal))


@pytest.mark.parametrize("name", [*WITH_LIST, *WITHOUT])
def test_a_group_cut_out_with_all_that_was_said_of_it_is_missing(name: str) -> None:
    """Everything else is there and fits: only the links tell."""
    parts = groups(name)
    seam = (message(name, 1), *bare(name, parts[3][1]))
    tree = of(name, joined([*parts[:2], (parts[3][0], seam, *parts[3][2:]), parts[4]]))
    assert (tree["verdict"], kinds(tree), tree["covered"]) == ("partial", ["missing", "open"], 24)
    assert tree["stretches"][0]["first_sample"] == 2 * GOP


@pytest.mark.parametrize("name", [*WITH_LIST, *WITHOUT])
def test_groups_swapped_under_messages_in_order_are_not_valid(name: str) -> None:
    parts = [tuple(bare(name, unit) for unit in part) for part in groups(name)]
    said = tuple(message(name, group) for group in range(GROUPS))
    last = (parts[4][0], (*said, *parts[4][1]), *parts[4][2:])
    assert of(name, joined([*parts[:4], last]))["verdict"] == "valid", "messages may come late"
    tree = of(name, joined([parts[0], parts[2], parts[1], parts[3], last]))
    assert tree["verdict"] == "partial"
    assert not_covered(tree) & set(range(GOP, 3 * GOP))


@pytest.mark.parametrize("name", [*WITH_LIST, *WITHOUT])
def test_an_old_message_once_more_is_no_matter(name: str) -> None:
    changed = list(units(name))
    changed[28] = (message(name, 0), *changed[28])
    assert (of(name, changed)["verdict"], of(name, changed)["covered"]) == ("valid", 32)


def test_a_last_message_that_is_wrong_leaves_nothing_open() -> None:
    """Where only little comes after a signature, the group before is not taken for a tail."""
    name = "partial.h264"
    changed = list(units(name))
    n, at = next(
        (n, at)
        for n in reversed(range(40))
        for at, nal in enumerate(changed[n])
        if media_signing.read("h264", nal)
    )
    raw = bytearray(changed[n][at])
    raw[40] ^= 1
    changed[n] = (*changed[n][:at], bytes(raw), *changed[n][at + 1 :])
    tree = of(name, changed)
    assert (tree["verdict"], kinds(tree)) == ("partial", ["unproven"])


@pytest.mark.parametrize("name", ["plain.h264", "low.h264"])
def test_an_altered_last_group_is_not_taken_for_a_tail(name: str) -> None:
    changed = list(units(name))
    changed[24] = tuple(b"\x67" + nal[1:] if nal[0] == 0x65 else nal for nal in changed[24])
    tree = of(name, changed)
    assert (tree["verdict"], set(kinds(tree))) == ("partial", {"altered", "unproven"})


@pytest.mark.parametrize("name", [*WITH_LIST, *WITHOUT])
def test_a_group_shown_twice_is_not_valid(name: str) -> None:
    parts = groups(name)
    tree = of(name, joined([*parts[:3], parts[2], *parts[3:]]))
    assert tree["verdict"] == "partial"
    twice = set(range(2 * GOP, 4 * GOP))
    assert not_covered(tree) & twice


@LOOK
@given(st.sampled_from(WITH_LIST), st.integers(1, 30))
def test_a_lost_picture_is_missing_there(name: str, n: int) -> None:
    found = units(name)
    if n % GOP in {0, 1}:  # the first of a group, or the one that carries a message
        return
    tree = of(name, [*found[:n], *found[n + 1 :]])
    assert tree["verdict"] == "partial"
    assert kinds(tree) == ["missing", "open"]
    assert (tree["stretches"][0]["first_sample"], tree["covered"]) == (n, 31)


@LOOK
@given(st.sampled_from([*WITH_LIST, *WITHOUT]), st.integers(0, 30), st.integers(0, 30))
def test_a_picture_put_in_is_not_covered(name: str, n: int, which: int) -> None:
    found = units(name)
    extra = tuple(nal for nal in found[which] if media_signing.kind(codec(name), nal))
    if which % GOP == 0:
        return
    changed = [*found[: n + 1], extra, *found[n + 1 :]]
    tree = of(name, changed)
    assert tree["verdict"] == "partial"
    # Beside the same picture, it is one of the two.
    assert any(set(extra) <= set(changed[at]) for at in not_covered(tree))


@pytest.mark.parametrize("name", [*WITH_LIST, *WITHOUT, "second.h264"])
def test_a_picture_put_behind_the_last_group_is_not_taken_for_a_tail(name: str) -> None:
    """The message says how many there are, and the next group has begun."""
    found = units(name)
    tree = of(name, [*found[:32], found[31], *found[32:]])
    assert (tree["verdict"], kinds(tree)[0]) == ("partial", "altered")
    assert (tree["stretches"][0]["first_sample"], tree["covered"]) == (33, 32)


def test_another_cameras_message_proves_nothing() -> None:
    """The pictures are the same ones: only who signed them differs."""
    mine, others = groups("plain.h264"), groups("other.h264")
    tree = of("plain.h264", joined([*mine[:2], others[2], *mine[3:]]))
    assert tree["verdict"] == "partial"
    assert tree["certificate"]["subject"] == "CN=Synthetic camera 1,O=nvr tests"
    assert not_covered(tree) == set(range(GOP, 2 * GOP)) | set(range(32, 40))
    assert kinds(tree) == ["unproven", "open"]


def test_a_key_that_did_not_sign_is_invalid() -> None:
    """The certificate of one camera in the messages of another."""
    mine = media_signing.read("h264", units("plain.h264")[9][0]).certificates  # type: ignore[union-attr]
    other = media_signing.read("h264", units("other.h264")[9][0]).certificates  # type: ignore[union-attr]
    assert len(mine) == len(other)
    changed = [tuple(nal.replace(other, mine) for nal in unit) for unit in units("other.h264")]
    tree = of("other.h264", changed)
    assert (tree["verdict"], tree["covered"]) == ("invalid", 0)
    assert any("names as its signer" in line for line in told(tree))


def told(tree: object) -> list[str]:
    return list(camera_lines([{"camera_signatures": [tree]}], str, checked=True))


def test_without_a_certificate_nothing_is_said_of_the_pictures() -> None:
    tree = of("apart.h264", without_certificates("apart.h264"))
    assert (tree["verdict"], tree["note"]) == ("partial", "no_certificate")
    assert tree["certificate"] is None


def without_certificates(name: str) -> list[Unit]:
    def plain(nal: bytes) -> bool:
        sei = media_signing.read(codec(name), nal)
        return sei is None or not sei.certificates

    return [tuple(filter(plain, unit)) for unit in units(name)]


@pytest.mark.parametrize("name", [*WITH_LIST, *WITHOUT, "partial.h264"])
def test_a_clip_cut_out_of_the_middle_is_valid(name: str) -> None:
    tree = of(name, joined(groups(name)[1:4]))
    assert (tree["verdict"], kinds(tree)) == ("valid", ["open"])
    assert tree["covered"] == {"partial.h264": 22}.get(name, 16)


def test_a_clip_too_short_for_a_signature_accuses_nobody() -> None:
    tree = of("plain.h264", joined(groups("plain.h264")[1:2]))
    assert (tree["verdict"], tree["note"]) == ("partial", "too_short")


@LOOK
@given(st.sampled_from(NAMES), st.data())
def test_a_clip_cut_off_anywhere_is_told_up_to_there(name: str, data: st.DataObject) -> None:
    whole = [signed.sample(unit) for unit in units(name)]
    n = data.draw(st.integers(0, 39))
    cut = whole[n][: data.draw(st.integers(0, len(whole[n]) - 1))]
    tree = signed.check(codec(name), [*whole[:n], cut])
    assert tree["verdict"] in {"absent", "valid", "partial"}
    assert tree.get("covered", 0) <= n + 1


@LOOK
@given(st.sampled_from(["h264", "h265"]), st.lists(st.binary(max_size=80), max_size=8))
def test_garbage_in_seis_never_raises(kind: str, bodies: list[bytes]) -> None:
    head = b"\x06\x05" if kind == "h264" else b"\x4e\x01\x05"
    seis = [
        head + bytes((len(body) + 16,)) + media_signing.UUID + body + b"\x80" for body in bodies
    ]
    tree = signed.check(kind, [signed.sample((nal,)) for nal in seis])
    assert tree["verdict"] == ("partial" if bodies else "absent")
    assert not tree.get("covered")


def test_pictures_that_the_standard_leaves_out_are_not_covered() -> None:
    found = list(units("plain.h265"))
    found[10] = (*found[10], b"\x12\x01" + os.urandom(20))  # a RASL picture
    tree = of("plain.h265", found)
    assert (tree["verdict"], kinds(tree)) == ("partial", ["unproven", "open"])
    assert not_covered(tree) >= {10}


def test_many_messages_that_fit_nothing_cost_little() -> None:
    """Nothing in a clip may make the check take longer than in proportion to it."""
    name = "low.h264"
    whole = units(name)
    first = tuple(nal for nal in whole[0] if media_signing.kind("h264", nal))
    seis = [nal for unit in whole for nal in unit if media_signing.read("h264", nal)]
    tree = of(name, [first, *((seis[0], *first) for _ in range(600))])
    assert tree["verdict"] in {"invalid", "partial"}
    assert tree["covered"] == 0


def test_a_ca_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"camera\.ca_unreadable"):
        certificate.anchors(tmp_path / "none.pem")
    (tmp_path / "none.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n")
    with pytest.raises(Misconfigured, match=r"holds no certificate"):
        certificate.anchors(tmp_path / "none.pem")


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["verdict", "file", "stretches", "certificate", "camera_signatures", "more", "note",
             "kind", "from_us", "to_us", "camera_from_us", "camera_to_us", "pictures", "subject"]
        ),
        inner,
        max_size=8,
    ),
    max_leaves=20,
)  # fmt: skip


@LOOK
@given(anything)
def test_whatever_stands_in_a_manifest_can_be_told(tree: object) -> None:
    for line in camera_lines([{"camera_signatures": [tree]}, tree], str, checked=False):
        assert line.isprintable()
