"""What is said of the signatures that a camera put into its own video: fields, and lines to read.

Part of the ``verify.py`` in an export: Python 3.8, nothing else. The check itself is in `cover`.
"""

from __future__ import annotations

from typing import Any, Callable, Iterator  # noqa: UP035 - Python 3.8

VALID, PARTIAL, INVALID, ABSENT = "valid", "partial", "invalid", "absent"
UNKNOWN = "unknown"
"""It could not be looked at; the note says why."""
_MOST_LINES = 10
_SAID = "as the box found it when it exported; `nvr verify` of an installed nvr checks it again"
_KINDS = {
    "altered": "not what the camera signed (altered, or damaged on the way)",
    "unproven": "no right signature covers it",
    "missing": "pictures that the camera signed are missing here",
    "open": "after the last signature in the clip",
}
_CHAINS = {
    "trusted": "its chain ends in the CA given",
    "untrusted": "its chain does NOT end in the CA given",
    "expired": "its chain ends in the CA given, but a certificate was not valid then",
    "unchecked": "chain not checked: anybody can make such a certificate",
}
_NOTES = {
    "no_certificate": "no certificate is in the clip, so no signature can be checked",
    "too_short": "no signature in the clip is about a whole group of its pictures",
}


def camera_lines(
    streams: Any,  # noqa: ANN401 - any JSON
    time: Callable[[int], str],
    *,
    checked: bool,
) -> Iterator[str]:
    """Yield what a person is told of the cameras' signatures, whatever stands in the manifest.

    Args:
        streams: As in a manifest, with ``camera_signatures``.
        time: Says a time.
        checked: They were checked here and now; else it is what the box said.
    """
    for entry in streams if isinstance(streams, list) else []:
        found = entry.get("camera_signatures") if isinstance(entry, dict) else None
        for tree in found if isinstance(found, list) else []:
            if not isinstance(tree, dict):
                continue
            whole = [*_camera(tree, time)]
            if tree.get("verdict") != ABSENT and not checked:
                whole.append(f"  {_SAID}")
            yield from ("".join(c if c.isprintable() else "?" for c in line) for line in whole)


def _camera(tree: dict[str, Any], time: Callable[[int], str]) -> Iterator[str]:
    verdict = str(tree.get("verdict", ""))
    line = f"camera signature {verdict}: {tree.get('file') or 'no copy to check'}"
    if verdict == ABSENT:
        yield f"{line}: the camera does not sign its video"
        return
    if "pictures" in tree:
        line += f", {tree.get('covered', 0)} of {tree['pictures']} pictures covered"
    yield line
    holder = tree.get("certificate")
    if isinstance(holder, dict):
        by = "names as its signer" if verdict == INVALID else "signed by"
        chain = _CHAINS.get(str(tree.get("chain", "")), "chain not checked")
        yield f"  {by} {holder.get('subject')}, issued by {holder.get('issuer')}; {chain}"
    begin, end = tree.get("camera_from_us"), tree.get("camera_to_us")
    if isinstance(begin, int) and isinstance(end, int):
        yield f"  the camera's own clock said {time(begin)} to {time(end)}"
    note = tree.get("note")
    if note:
        yield f"  {_NOTES.get(str(note), note)}"
    found = tree.get("stretches")
    found = found if isinstance(found, list) else []
    for one in found[:_MOST_LINES]:
        if isinstance(one, dict):
            yield f"  {_camera_stretch(one, time)}"
    more = tree.get("more")
    left = len(found[_MOST_LINES:]) + (more if isinstance(more, int) else 0)
    if left:
        yield f"  and {left} more"


def _camera_stretch(one: dict[str, Any], time: Callable[[int], str]) -> str:
    kind = str(one.get("kind", ""))
    begin, end = one.get("from_us"), one.get("to_us")
    at = (
        f"{time(begin)} to {time(end)}, " if isinstance(begin, int) and isinstance(end, int) else ""
    )
    first, last = one.get("first_sample"), one.get("last_sample")
    return f"{kind}: {at}pictures {first} to {last}: {_KINDS.get(kind, '')}"
