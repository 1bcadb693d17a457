"""What an ONVIF device of ours draws into its picture: texts and masks, kept as a camera keeps them.

It reads what it is told as strictly as the strict ones do: elements in the order of the schema. Each
knob is something that cameras do.
"""

from dataclasses import dataclass, field
from xml.etree import ElementTree

OSD = ["VideoSourceConfigurationToken", "Type", "Position", "TextString"]
STRING = [
    "Type",
    "DateFormat",
    "TimeFormat",
    "FontSize",
    "FontColor",
    "BackgroundColor",
    "PlainText",
]
MASK = ["ConfigurationToken", "Polygon", "Type", "Color", "Enabled"]


class Refused(Exception):
    """A SOAP fault: code and words."""


@dataclass
class Drawing:
    """What is drawn.

    Attributes:
        services: Which of them have texts: ``media``, ``media2``.
        most: Texts in all; most_plain of them that stand still.
        cut: Characters of a text that it keeps.
        places: Where texts can be.
        sizes: Of the font.
        dates: How it writes them.
        refuses: Texts with this in them it does not take.
        no_set: It knows no SetOSD.
        lost: The next so many things are made, and nobody is told.
        most_masks: How many; corners: of one.
        rectangles: It has no others.
        grid: It rounds corners to this.
        halves: It makes masks half as wide.
        off: Masks are made, and not switched on.
        writes: What it was told to change.
    """

    services: tuple[str, ...] = ("media",)
    most: int = 8
    most_plain: int | None = None
    cut: int = 0
    places: tuple[str, ...] = ("Custom", "UpperLeft", "UpperRight", "LowerLeft", "LowerRight")
    sizes: tuple[int, int] | None = (16, 64)
    dates: tuple[str, ...] = ("yyyy-MM-dd", "MM/dd/yyyy")
    times: tuple[str, ...] = ("HH:mm:ss",)
    refuses: str = ""
    no_set: bool = False
    lost: int = 0
    most_masks: int = 4
    corners: int = 8
    rectangles: bool = False
    kinds: tuple[str, ...] = ("Color", "Pixelated")
    grid: float = 0.0
    halves: bool = False
    off: bool = False
    has_masks: bool = True
    texts: dict[str, dict] = field(default_factory=dict)
    masks: dict[str, dict] = field(default_factory=dict)
    writes: list[str] = field(default_factory=list)
    made: int = 0

    def __post_init__(self) -> None:
        self.texts["o1"] = {
            "source": "v", "place": "Custom", "x": -0.5, "y": 0.9, "kind": "Plain", "text": "东门",
            "size": 0, "date": "", "time": "",
        }  # fmt: skip

    def forget(self) -> None:
        """It was restarted, and what it was told is gone."""
        self.texts = {token: one for token, one in self.texts.items() if token == "o1"}
        self.masks = {}

    def shown(self) -> list[str]:
        """What of ours stands in the picture."""
        ours = [one for token, one in self.texts.items() if token != "o1"]
        return [one["text"] if one["kind"] == "Plain" else one["kind"] for one in ours]

    def answer(self, operation: str, body: str, path: str) -> str | None:
        """Answer a question, None if that is none of ours."""
        method = getattr(self, operation, None)
        if method is None or not operation[:1].isupper():
            return None
        service = "media2" if path.endswith("media2") else "media"
        if "OSD" in operation and service not in self.services:
            return None
        if "Mask" in operation and (service != "media2" or not self.has_masks):
            return None
        asked = ElementTree.fromstring(body.encode())
        found = next(one for one in asked.iter() if _name(one) == operation)
        return f"<{service}:{operation}Response>{method(found, service)}</{service}:{operation}Response>"

    # Texts.

    def GetOSDOptions(self, _asked, service: str) -> str:
        most = f'Total="{self.most}"'
        if self.most_plain is not None:
            most += f' PlainText="{self.most_plain}"'
        sizes = ""
        if self.sizes:
            sizes = f"<tt:FontSizeRange><tt:Min>{self.sizes[0]}</tt:Min><tt:Max>{self.sizes[1]}</tt:Max></tt:FontSizeRange>"
        return (
            f"<{service}:OSDOptions><tt:MaximumNumberOfOSDs {most}/><tt:Type>Text</tt:Type>"
            + "".join(f"<tt:PositionOption>{one}</tt:PositionOption>" for one in self.places)
            + "<tt:TextOption><tt:Type>Plain</tt:Type><tt:Type>Date</tt:Type><tt:Type>Time</tt:Type>"
            + f"<tt:Type>DateAndTime</tt:Type>{sizes}"
            + "".join(f"<tt:DateFormat>{one}</tt:DateFormat>" for one in self.dates)
            + "".join(f"<tt:TimeFormat>{one}</tt:TimeFormat>" for one in self.times)
            + f"</tt:TextOption></{service}:OSDOptions>"
        )

    def GetOSDs(self, _asked, service: str) -> str:
        return "".join(self._text(token, one, service) for token, one in self.texts.items())

    @staticmethod
    def _text(token: str, one: dict, service: str) -> str:
        place = f"<tt:Type>{one['place']}</tt:Type>"
        if one["place"] == "Custom":
            place += f'<tt:Pos x="{one["x"]}" y="{one["y"]}"/>'
        string = f"<tt:Type>{one['kind']}</tt:Type>"
        for key, name in (("date", "DateFormat"), ("time", "TimeFormat"), ("size", "FontSize")):
            if one[key]:
                string += f"<tt:{name}>{one[key]}</tt:{name}>"
        if one["kind"] == "Plain":
            string += f"<tt:PlainText>{one['text']}</tt:PlainText>"
        return (
            f'<{service}:OSDs token="{token}"><tt:VideoSourceConfigurationToken>{one["source"]}'
            "</tt:VideoSourceConfigurationToken><tt:Type>Text</tt:Type>"
            f"<tt:Position>{place}</tt:Position><tt:TextString>{string}</tt:TextString></{service}:OSDs>"
        )

    def CreateOSD(self, asked, service: str) -> str:
        one = self._told(asked)
        if len(self.texts) >= self.most:
            raise Refused("ter:MaxOSDs", "no room for more OSDs")
        self.made += 1
        token = f"OSD_{self.made}"
        self.texts[token] = one
        self._write(f"create {one['text'] or one['kind']}")
        return f"<{service}:OSDToken>{token}</{service}:OSDToken>"

    def SetOSD(self, asked, _service: str) -> str:
        if self.no_set:
            raise Refused("ter:ActionNotSupported", "no SetOSD")
        one = self._told(asked)
        token = next(each for each in asked if _name(each) == "OSD").get("token")
        if token not in self.texts:
            raise Refused("ter:InvalidArgVal", "no such OSD")
        self.texts[token] = one
        self._write(f"set {token} {one['text'] or one['kind']}")
        return ""

    def DeleteOSD(self, asked, _service: str) -> str:
        token = asked[0].text
        if token not in self.texts:
            raise Refused("ter:InvalidArgVal", "no such OSD")
        del self.texts[token]
        self._write(f"delete {token}")
        return ""

    def _told(self, asked) -> dict:
        (osd,) = [one for one in asked if _name(one) == "OSD"]
        _in_order(osd, OSD)
        string = next(one for one in osd if _name(one) == "TextString")
        _in_order(string, STRING)
        said = {_name(one): one for one in string}
        place = next(one for one in osd if _name(one) == "Position")
        at = next((one for one in place if _name(one) == "Pos"), None)
        text = said["PlainText"].text if "PlainText" in said else ""
        if self.refuses and self.refuses in text:
            raise Refused("ter:InvalidArgVal", "text not allowed")
        size = int(said["FontSize"].text) if "FontSize" in said else 0
        if size and self.sizes and not self.sizes[0] <= size <= self.sizes[1]:
            raise Refused("ter:InvalidArgVal", "font size")
        return {
            "source": next(iter(osd)).text,
            "place": next(iter(place)).text,
            "x": float(at.get("x")) if at is not None else 0.0,
            "y": float(at.get("y")) if at is not None else 0.0,
            "kind": said["Type"].text,
            "text": text[: self.cut] if self.cut else text,
            "size": size,
            "date": said["DateFormat"].text if "DateFormat" in said else "",
            "time": said["TimeFormat"].text if "TimeFormat" in said else "",
        }

    # Masks.

    def GetMaskOptions(self, _asked, service: str) -> str:
        return (
            f'<{service}:Options RectangleOnly="{str(self.rectangles).lower()}" SingleColorOnly="true">'
            f"<{service}:MaxMasks>{self.most_masks}</{service}:MaxMasks>"
            f"<{service}:MaxPoints>{self.corners}</{service}:MaxPoints>"
            + "".join(f"<{service}:Types>{one}</{service}:Types>" for one in self.kinds)
            + f"</{service}:Options>"
        )

    def GetMasks(self, _asked, service: str) -> str:
        found = ""
        for token, one in self.masks.items():
            points = "".join(f'<tt:Point x="{x}" y="{y}"/>' for x, y in one["points"])
            found += (
                f'<{service}:Masks token="{token}"><{service}:ConfigurationToken>{one["source"]}'
                f"</{service}:ConfigurationToken><{service}:Polygon>{points}</{service}:Polygon>"
                f"<{service}:Type>{one['kind']}</{service}:Type>"
                f"<{service}:Enabled>{str(not self.off).lower()}</{service}:Enabled></{service}:Masks>"
            )
        return found

    def CreateMask(self, asked, service: str) -> str:
        one = self._masked(asked)
        if len(self.masks) >= self.most_masks:
            raise Refused("ter:MaxMasks", "no room for more masks")
        self.made += 1
        token = f"M{self.made}"
        self.masks[token] = one
        self._write(f"mask {len(one['points'])}")
        return f"<{service}:Token>{token}</{service}:Token>"

    def SetMask(self, asked, _service: str) -> str:
        token = next(one for one in asked if _name(one) == "Mask").get("token")
        if token not in self.masks:
            raise Refused("ter:InvalidArgVal", "no such mask")
        self.masks[token] = self._masked(asked)
        self._write(f"remask {token}")
        return ""

    def DeleteMask(self, asked, _service: str) -> str:
        if self.masks.pop(asked[0].text, None) is None:
            raise Refused("ter:InvalidArgVal", "no such mask")
        self._write(f"unmask {asked[0].text}")
        return ""

    def _masked(self, asked) -> dict:
        (mask,) = [one for one in asked if _name(one) == "Mask"]
        _in_order(mask, MASK)
        said = {_name(one): one for one in mask}
        points = [(float(one.get("x")), float(one.get("y"))) for one in said["Polygon"]]
        if len(points) > self.corners or (self.rectangles and len(points) != 4):
            raise Refused("ter:InvalidPolygon", "not such a polygon")
        if self.grid:
            points = [tuple(int(v / self.grid) * self.grid for v in point) for point in points]
        if self.halves:
            points = [(x / 2, y) for x, y in points]
        return {
            "source": said["ConfigurationToken"].text,
            "points": points,
            "kind": said["Type"].text,
        }

    def _write(self, word: str) -> None:
        self.writes.append(word)
        if self.lost:
            self.lost -= 1
            raise ConnectionResetError


def _name(one) -> str:
    return one.tag.rpartition("}")[2]


def _in_order(element, names: list[str]) -> None:
    places = [names.index(_name(one)) if _name(one) in names else -1 for one in element]
    if places != sorted(places) or -1 in places:
        raise Refused(
            "ter:InvalidArgVal", f"not as the schema has it: {[_name(o) for o in element]}"
        )
