"""What a ``control`` attribute means as a URL, in the spellings that servers take.

Source: RFC 2326, C.1.1, which says RFC 1808; players, which append; and cameras, which are written
for players. Behind a NAT or a proxy they also speak of themselves by an address that nobody has.
"""

from typing import Final
from urllib.parse import urljoin, urlsplit

_MOST: Final = 4


def resolve(base: str, control: str) -> str:
    """Return the URL that a ``control`` attribute means.

    Cameras mean what players do, which is not RFC 3986: the control is appended to the base.
    """
    if not control or control == "*":
        return base
    if "://" in control:
        return control
    return f"{base.rstrip('/')}/{control.lstrip('/')}"


def _split(url: str) -> tuple[str, str, str]:
    """Scheme and host, path, query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}", parts.path, parts.query


def spellings(url: str, base: str, control: str) -> list[str]:
    """Return what to ask for, the likeliest first.

    Args:
        url: The address we went to.
        base: What the server says its description is relative to.
        control: The attribute, relative, absolute, ``*`` or empty.
    """
    found = [resolve(base, control), resolve(url, control)]
    try:
        if control and control != "*":
            host, path, query = _split(url)
            if "://" in control:  # its own idea of its address
                _, path, query = _split(control)
                found.append(f"{host}{path}?{query}" if query else f"{host}{path}")
            else:
                if query:  # the control belongs to the path, and the query stays behind it
                    found.append(f"{resolve(host + path, control)}?{query}")
                joined = urljoin(base.replace("rtsp", "http", 1), control)
                found.append(joined.replace("http", "rtsp", 1))
    except ValueError:  # no URL at all: then only what was said
        pass
    return list(dict.fromkeys(found))[:_MOST]
