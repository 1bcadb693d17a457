"""What a camera draws into its own picture: texts (OSD) and privacy masks.

Both services of texts, Media's and Media2's, have the same words, so each is asked by hand in its
own name space; the first that answers is kept to. Masks are Media2's alone.

Source: ONVIF Media 23.06 section 5.12 (OSD); Media2 23.06 sections 5.11 (OSD) and 5.13 (masks);
the types are of ``onvif.xsd``.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from nvr.base.errors import Misconfigured, NvrError
from nvr.link import trouble
from nvr.link.letter import Letter
from nvr.link.reading import MOST_LISTED, number, text, whole
from nvr.link.soap import Soap
from nvr.media import onvif_wish as wish
from nvr.media.onvif import CORNERS, Mask, MaskOptions, Osd, OsdOptions
from nvr.wire.xml import Element, escape

MOST_CORNERS: Final = 64
_SERVICES: Final = ("media2", "media")
_KINDS: Final = {"PlainText": "Plain", "Date": "Date", "Time": "Time", "DateAndTime": "DateAndTime"}


class Drawing:
    """The texts and masks of one camera.

    Args:
        soap: Its services.

    Attributes:
        answers: Who answers which question of `nvr.media.onvif_wish`.
    """

    def __init__(self, soap: Soap) -> None:
        self._soap = soap
        self._texts = ""
        self.answers: dict[type[Any], Callable[[Any], Awaitable[Any]]] = {
            wish.GetOsdOptions: self._osd_options,
            wish.GetOsds: self._osds,
            wish.SetOsd: self._set_osd,
            wish.DeleteOsd: self._delete_osd,
            wish.GetMaskOptions: self._mask_options,
            wish.GetMasks: self._masks,
            wish.SetMask: self._set_mask,
            wish.DeleteMask: self._delete_mask,
        }

    async def _osd_options(self, asked: wish.GetOsdOptions) -> OsdOptions:
        body = _tagged("ConfigurationToken", asked.source)
        answer = await self._ask_texts("GetOSDOptions", body)
        return osd_options(answer.first("OSDOptions") or Element(""))

    async def _osds(self, asked: wish.GetOsds) -> tuple[Osd, ...]:
        body = _tagged("ConfigurationToken", asked.source) if asked.source else ""
        answer = await self._ask_texts("GetOSDs", body)
        return tuple(osd(one) for one in list(answer.all("OSDs"))[:MOST_LISTED])

    async def _set_osd(self, asked: wish.SetOsd) -> str:
        one = asked.osd
        answer = await self._ask_texts("SetOSD" if one.token else "CreateOSD", osd_body(one))
        token = one.token or text(answer.said("OSDToken"), 64)
        if not token:
            raise trouble.garbage("it made a text and does not say which")
        return token

    async def _delete_osd(self, asked: wish.DeleteOsd) -> None:
        await self._ask_texts("DeleteOSD", _tagged("OSDToken", asked.token))

    async def _ask_texts(self, operation: str, body: str) -> Element:
        """Ask the service that has texts: the one that answered before, or the first that does."""
        offered = await self._soap.services()
        services = [self._texts] if self._texts else [one for one in _SERVICES if one in offered]
        failed: NvrError = trouble.unsupported("texts in its picture")
        for service in services:
            try:
                answer = await self._soap.raw(Letter(service, operation, body))
            except Misconfigured as err:
                failed = err
            else:
                self._texts = service
                return answer
        raise failed

    async def _mask_options(self, asked: wish.GetMaskOptions) -> MaskOptions:
        body = _tagged("ConfigurationToken", asked.source)
        answer = await self._soap.raw(Letter("media2", "GetMaskOptions", body))
        return mask_options(answer.first("Options") or Element(""))

    async def _masks(self, _: wish.GetMasks) -> tuple[Mask, ...]:
        answer = await self._soap.raw(Letter("media2", "GetMasks"))
        return tuple(mask(one) for one in list(answer.all("Masks"))[:MOST_LISTED])

    async def _set_mask(self, asked: wish.SetMask) -> str:
        one = asked.mask
        operation = "SetMask" if one.token else "CreateMask"
        answer = await self._soap.raw(Letter("media2", operation, mask_body(one)))
        token = one.token or text(answer.said("Token"), 64)
        if not token:
            raise trouble.garbage("it made a mask and does not say which")
        return token

    async def _delete_mask(self, asked: wish.DeleteMask) -> None:
        await self._soap.raw(Letter("media2", "DeleteMask", _tagged("Token", asked.token)))


def _tagged(name: str, value: str) -> str:
    return f"<t:{name}>{escape(value)}</t:{name}>"


def osd_body(one: Osd) -> str:
    """Return a text as ``tt:OSDConfiguration``, in the order of its schema."""
    place = f"<tt:Type>{escape(one.place)}</tt:Type>"
    if one.place == "Custom":
        place += f'<tt:Pos x="{one.x:.4f}" y="{one.y:.4f}"/>'
    string = f"<tt:Type>{escape(one.kind)}</tt:Type>"
    if one.date:
        string += f"<tt:DateFormat>{escape(one.date)}</tt:DateFormat>"
    if one.time:
        string += f"<tt:TimeFormat>{escape(one.time)}</tt:TimeFormat>"
    if one.size:
        string += f"<tt:FontSize>{one.size}</tt:FontSize>"
    if one.kind == "Plain":
        string += f"<tt:PlainText>{escape(one.text)}</tt:PlainText>"
    return (
        f'<t:OSD token="{escape(one.token)}">'
        f"<tt:VideoSourceConfigurationToken>{escape(one.source)}</tt:VideoSourceConfigurationToken>"
        f"<tt:Type>Text</tt:Type><tt:Position>{place}</tt:Position>"
        f"<tt:TextString>{string}</tt:TextString></t:OSD>"
    )


def osd(one: Element) -> Osd:
    """Read a text of the picture; a picture in it has the kind ``Image``."""
    string = one.first("TextString") or Element("")
    where = one.first("Position") or Element("")
    at = (where.first("Pos") or Element("")).attributes
    return Osd(
        text(one.attributes.get("token"), 64),
        text(one.said("VideoSourceConfigurationToken"), 64),
        text(string.said("PlainText"), 256),
        number(at.get("x"), -1.0),
        number(at.get("y"), 1.0),
        text(string.said("Type"), 16) or text(one.said("Type"), 16),
        text(where.said("Type"), 16) or "Custom",
        whole(string.said("FontSize")),
        text(string.said("DateFormat"), 32),
        text(string.said("TimeFormat"), 32),
    )


def osd_options(found: Element) -> OsdOptions:
    """Read which texts there can be; what a camera leaves out is taken as possible."""
    usual = OsdOptions()
    counts = (found.first("MaximumNumberOfOSDs") or Element("")).attributes
    most = {kind: whole(counts[name]) for name, kind in _KINDS.items() if name in counts}
    string = found.first("TextOption") or Element("")
    kinds = _direct(string, "Type")
    places = tuple(one for one in _said(found, "PositionOption") if one in {"Custom", *CORNERS})
    sizes = string.first("FontSizeRange")
    low, high = (whole(sizes.said("Min")), whole(sizes.said("Max"))) if sizes else (0, 0)
    return OsdOptions(
        whole(counts["Total"]) if "Total" in counts else None,
        most,
        tuple(one for one in kinds if one in usual.kinds) or usual.kinds,
        places or usual.places,
        (low, high) if 0 < low <= high else None,
        _said(string, "DateFormat"),
        _said(string, "TimeFormat"),
    )


def mask_body(one: Mask) -> str:
    """Return a mask as Media2's ``Mask``, in the order of its schema."""
    points = "".join(f'<tt:Point x="{x:.4f}" y="{y:.4f}"/>' for x, y in one.points[:MOST_CORNERS])
    colour = ""
    if one.kind == "Color" and one.colour is not None:
        x, y, z, space = one.colour
        colour = f'<t:Color X="{x:g}" Y="{y:g}" Z="{z:g}" Colorspace="{escape(space)}"/>'
    token = f' token="{escape(one.token)}"' if one.token else ""
    return (
        f"<t:Mask{token}>{_tagged('ConfigurationToken', one.source)}"
        f"<t:Polygon>{points}</t:Polygon>{_tagged('Type', one.kind)}{colour}"
        f"{_tagged('Enabled', 'true' if one.on else 'false')}</t:Mask>"
    )


def mask(one: Element) -> Mask:
    """Read what is hidden; what does not say that it is in force is not."""
    points = [
        (number(p.attributes.get("x")), number(p.attributes.get("y"))) for p in one.all("Point")
    ]
    return Mask(
        text(one.attributes.get("token"), 64),
        text(one.said("ConfigurationToken"), 64),
        tuple(points[:MOST_CORNERS]),
        text(one.said("Type"), 16),
        one.said("Enabled").lower() in {"true", "1"},
        _colour(one.first("Color")),
    )


def mask_options(found: Element) -> MaskOptions:
    """Read which masks there can be; of what a camera leaves out the least is taken."""
    usual = MaskOptions(0)
    listed = found.first("ColorList")
    colours = [_colour(one) for one in listed.all("Color")] if listed else []
    return MaskOptions(
        whole(found.said("MaxMasks")),
        whole(found.said("MaxPoints")) or usual.corners,
        found.attributes.get("RectangleOnly", "").lower() in {"true", "1"},
        _said(found, "Types") or usual.kinds,
        tuple(one for one in colours[:16] if one is not None),
    )


def _colour(one: Element | None) -> tuple[float, float, float, str] | None:
    if one is None or "X" not in one.attributes:
        return None
    said = one.attributes
    x, y, z = (number(said.get(axis)) for axis in "XYZ")
    return x, y, z, text(said.get("Colorspace"), 64)


def _said(found: Element, name: str) -> tuple[str, ...]:
    words = [text(one.text, 32) for one in found.all(name)]
    return tuple(one for one in words[:32] if one)


def _direct(found: Element, name: str) -> tuple[str, ...]:
    return tuple(text(one.text, 32) for one in found.children if one.name == name)
