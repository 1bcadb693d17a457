"""Addresses of cameras' own services, as people write them and as a client takes them."""

from urllib.parse import urlsplit

from nvr.base.errors import Rejected
from nvr.media.find import Login
from nvr.media.onvif import Target


def target_of(login: Login) -> Target:
    """Read an address as people write it.

    Raises:
        Rejected: ``camera.search``.
    """
    text = login.address.strip()
    tls = text.lower().startswith("https://")
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port, parts = "", None, urlsplit("")
    if (
        not host
        or " " in text
        or parts.scheme not in {"http", "https"}
        or parts.username is not None
    ):
        raise Rejected("camera.search", "that is no address: 192.0.2.10, https://192.0.2.10:8443")
    path = parts.path if len(parts.path) > 1 else "/onvif/device_service"
    return Target(
        host, port or (443 if tls else 80), login.user, login.password, tls, login.pin, path
    )


def written(host: str, port: int, *, tls: bool = False, path: str = "") -> str:
    """Write an address as `target_of` reads it."""
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    tail = "" if path in {"", "/onvif/device_service"} else path
    return f"https://{place}{tail}" if tls else (f"http://{place}{tail}" if tail else place)
