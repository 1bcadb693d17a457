"""A caption as the texts that a camera can write into its picture, and what it made of them.

A camera has fewer words than we: texts that stand still, and its own date and time. What it lacks
is said (`nvr.media.drawn.Remark`), never left out in silence. Codes:

============== ===================================================================
code           what
============== ===================================================================
osd.changed    it shows another text than it was told
osd.corner     it knows no free places, only corners
osd.cut        it shows only so many characters
osd.field      these fields it cannot show
osd.format     it writes the date or time otherwise
osd.lost       it did not keep it
osd.mode       its texts have a look of their own
osd.moved      it put it elsewhere
osd.no_kind    it cannot show that at all
osd.refused    it does not take it
osd.size       it shows another size
osd.split      the time of a line stands below its text
osd.too_many   it has no room for more texts
============== ===================================================================

Source: ONVIF Media 23.06 section 5.12; positions as of ``tt:OSDPosConfiguration``.
"""

import dataclasses
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from nvr.media.camera import CaptionText
from nvr.media.caption import FIELD
from nvr.media.drawn import Remark
from nvr.media.onvif import CORNERS, Osd, OsdOptions

WORSE = frozenset(
    ("osd.changed", "osd.cut", "osd.lost", "osd.no_kind", "osd.refused", "osd.too_many")
)
"""What leaves something of a caption unsaid; the rest is only looks."""
_DATES = ("yyyy-MM-dd", "yyyy/MM/dd", "yyyy.MM.dd", "dd/MM/yyyy", "MM/dd/yyyy")
_TIMES = ("HH:mm:ss", "H:mm:ss", "hh:mm:ss tt")
_PITCH = 1.3
"""From line to line, in sizes."""
_NEAR = 0.1
_OWN_LOOK = frozenset(("blink", "box", "inverse", "scroll"))


@dataclass(frozen=True, slots=True)
class Piece:
    """A text for the camera, of a line of the caption counted from 1."""

    line: int
    osd: Osd


@dataclass(frozen=True, slots=True)
class Told:
    """What a camera is to be told, and what of the caption that leaves out."""

    pieces: tuple[Piece, ...]
    remarks: tuple[Remark, ...]


def pieces_of(
    caption: CaptionText,
    source: str,
    options: OsdOptions,
    height_px: int,
    others: Sequence[Osd] = (),
) -> Told:
    """Return the texts that show a caption as well as a camera can.

    Args:
        caption: What is to be shown.
        source: Token of the video source configuration.
        options: What the camera can.
        height_px: Of its picture, 0 if not known.
        others: Texts that are not ours, and take room.
    """
    remarks: list[Remark] = []
    size = _size(caption, options, height_px, remarks)
    if caption.mode in _OWN_LOOK:
        remarks.append(Remark("osd.mode", 0, caption.mode))
    rows = list(_rows(caption, options, remarks))
    rows = _counted(rows, options, others, remarks)
    placed = _placed(rows, caption, options, [one.place for one in others], remarks)
    pieces = [
        Piece(line, dataclasses.replace(one, source=source, size=size)) for line, one in placed
    ]
    return Told(tuple(pieces), tuple(remarks))


def became(wanted: Osd, got: Osd | None, line: int) -> list[Remark]:
    """Return what a camera made of a text, as it was read back; nothing if all is as told."""
    if got is None:
        return [Remark("osd.lost", line)]
    if got.kind != wanted.kind:
        return [Remark("osd.changed", line, got.text or got.kind)]
    found = []
    if wanted.kind == "Plain" and got.text != wanted.text:
        if got.text and wanted.text.startswith(got.text):
            found.append(Remark("osd.cut", line, str(len(got.text))))
        else:
            found.append(Remark("osd.changed", line, got.text))
    if got.place != wanted.place or (
        wanted.place == "Custom" and max(abs(got.x - wanted.x), abs(got.y - wanted.y)) > _NEAR
    ):
        found.append(Remark("osd.moved", line))
    if wanted.size and got.size and wanted.size != got.size:
        found.append(Remark("osd.size", line, str(got.size)))
    for told, shown in ((wanted.date, got.date), (wanted.time, got.time)):
        if told and shown and told != shown:
            found.append(Remark("osd.format", line, shown))
    return found


def as_told(wanted: Osd, got: Osd) -> bool:
    """Whether a camera shows a text as it was told."""
    return not became(wanted, got, 0)


def may_be(wanted: Osd, got: Osd) -> bool:
    """Whether a text can be what a camera made of one that it was told."""
    if (wanted.source, wanted.kind) != (got.source, got.kind):
        return False
    return bool(got.text or wanted.kind != "Plain") and wanted.text.startswith(got.text)


def _size(caption: CaptionText, options: OsdOptions, height_px: int, remarks: list[Remark]) -> int:
    """Font size in the camera's unit, which is taken for pixels; 0 to leave it to the camera."""
    if options.sizes is None or not height_px:
        return 0
    low, high = options.sizes
    wanted = round(caption.size_permille * height_px / 1000)
    if not low <= wanted <= high:
        remarks.append(Remark("osd.size", 0, f"{low}-{high}"))
    return min(max(wanted, low), high)


def _rows(
    caption: CaptionText, options: OsdOptions, remarks: list[Remark]
) -> "list[tuple[int, int, Osd]]":
    """Each text with its line and the row in which it stands; a line may need two rows."""
    found: list[tuple[int, int, Osd]] = []
    row = 0
    for number, line in enumerate(caption.lines, 1):
        texts = _line(line, number, options, remarks)
        for one in texts:
            found.append((number, row, one))
            row += 1
        row += not texts  # an empty line
    return found


def _line(line: str, number: int, options: OsdOptions, remarks: list[Remark]) -> list[Osd]:
    fields = set(FIELD.findall(line))
    text = " ".join(FIELD.sub(" ", line).split(" ")).strip()
    while "  " in text:
        text = text.replace("  ", " ")
    texts = [Osd("", "", text)] if text else []
    times, lost = _times(fields, options)
    if text and times:
        remarks.append(Remark("osd.split", number))
    if lost:
        remarks.append(Remark("osd.field", number, " ".join(lost)))
    kinds = [one for one in (*texts, *times) if one.kind in options.kinds]
    if len(kinds) < len(texts) + len(times):
        remarks.append(Remark("osd.no_kind", number))
    return kinds


def _times(fields: set[str], options: OsdOptions) -> tuple[list[Osd], list[str]]:
    """The camera's own date and time for fields, and the fields it has nothing for."""
    day, clock = bool(fields & {"date", "time"}), bool(fields & {"hms", "time"})
    weekday = bool(fields & {"weekday", "time"})
    date = _format(options.dates, _DATES, weekday=weekday) if day else ""
    time = _format(options.times, _TIMES) if clock else ""
    kind = "DateAndTime" if day and clock else "Date" if day else "Time"
    found = [Osd("", "", "", kind=kind, date=date, time=time)] if day or clock else []
    if kind == "DateAndTime" and found and kind not in options.kinds:
        found = [Osd("", "", "", kind="Date", date=date), Osd("", "", "", kind="Time", time=time)]
    lost = ["{weekday}"] if weekday and "ddd" not in date else []
    lost += ["{zone}"] if fields & {"zone", "time"} else []
    lost += ["{clock}"] if "clock" in fields else []
    return found, lost


def _format(known: Sequence[str], liked: Sequence[str], *, weekday: bool = False) -> str:
    """The format that is liked most of those a camera knows, empty to leave it to the camera."""
    if weekday and (named := [one for one in known if "ddd" in one and "yyyy" in one]):
        return next((one for one in named if one.startswith("yyyy")), named[0])
    return next((one for one in liked if one in known), known[0] if known else "")


def _counted(
    rows: "list[tuple[int, int, Osd]]",
    options: OsdOptions,
    others: Sequence[Osd],
    remarks: list[Remark],
) -> "list[tuple[int, int, Osd]]":
    """As many of them as there is room for, the first ones."""
    most = 64 if options.most is None else max(0, options.most - len(others))
    room = {
        kind: max(0, count - sum(other.kind == kind for other in others))
        for kind, count in options.most_of.items()
    }
    found: list[tuple[int, int, Osd]] = []
    for number, row, one in rows:
        if len(found) >= most or room.get(one.kind, 1) <= 0:
            remarks.append(Remark("osd.too_many", number, str(len(found))))
            continue
        if one.kind in room:
            room[one.kind] -= 1
        found.append((number, row, one))
    return found


def _placed(
    rows: "list[tuple[int, int, Osd]]",
    caption: CaptionText,
    options: OsdOptions,
    taken: Collection[str],
    remarks: list[Remark],
) -> list[tuple[int, Osd]]:
    """Where each stands: free, or in the corners that are free, the nearest first."""
    left, top = (one / 1000 for one in caption.position_permille)
    if "Custom" in options.places:
        pitch = caption.size_permille / 1000 * _PITCH
        return [
            (number, dataclasses.replace(one, x=_unit(left), y=-_unit(top + row * pitch)))
            for number, row, one in rows
        ]
    if rows:
        remarks.append(Remark("osd.corner"))
    near = sorted(
        (one for one in CORNERS if one in options.places and one not in taken),
        key=lambda one: (
            abs(top - ("Lower" in one)) + abs(left - ("Right" in one)),
            CORNERS.index(one),
        ),
    )
    remarks += [Remark("osd.too_many", line, str(len(near))) for line, _, _ in rows[len(near) :]]
    return [
        (line, dataclasses.replace(one, place=corner))
        for (line, _, one), corner in zip(rows, near, strict=False)
    ]


def _unit(share: float) -> float:
    """A share of the picture, 0 to 1, as -1 to 1, rounded as it is told."""
    return round(min(max(2 * share - 1, -1.0), 1.0), 4)
