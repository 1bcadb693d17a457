"""The page's files, read once: the only static files there are.

Everything under ``nvr/web/page`` is served from memory under ``/ui/<hash>/``, the hash being over
all of it, so that browsers may keep a file for ever. No path of a request ever reaches the file
system: a file is in the table, or it is not found.
"""

import gzip
import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from nvr.base.errors import Misconfigured

_TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".html": "text/html",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
_TEXT = {"text/javascript", "text/css", "text/html", "image/svg+xml", "application/json"}
_SMALLEST_ZIPPED = 512
MARK = b"{{ui}}"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file.

    Attributes:
        data: Its bytes.
        zipped: The same under gzip, empty where that does not pay.
        kind: Media type.
    """

    data: bytes
    zipped: bytes
    kind: str


@dataclass(frozen=True, slots=True)
class Assets:
    """The whole page.

    Attributes:
        digest: Hash over all files, part of their paths.
        index: ``index.html`` with the paths put in.
        table: Path below ``/ui/<hash>/`` to file.
    """

    digest: str
    index: Asset
    table: Mapping[str, Asset]


def load_assets(root: Traversable | None = None) -> Assets:
    """Read the page from the package, or from another directory.

    Raises:
        Misconfigured: ``page.missing``.
    """
    top = root or files("nvr.web").joinpath("page")
    found = dict(sorted(_walk(top, ""))) if top.is_dir() else {}
    if "index.html" not in found:
        raise Misconfigured("page.missing", "the page's files are not installed")
    whole = hashlib.sha256()
    for path, data in found.items():
        whole.update(f"{path}\0{len(data)}\0".encode())
        whole.update(data)
    digest = whole.hexdigest()[:16]
    index = found.pop("index.html").replace(MARK, f"/ui/{digest}".encode())
    table = {path: _asset(path, data) for path, data in found.items()}
    return Assets(digest, _asset("index.html", index), table)


def _walk(top: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for entry in top.iterdir():
        if entry.name.startswith((".", "_")):
            continue
        if entry.is_dir():
            found += _walk(entry, f"{prefix}{entry.name}/")
        elif not entry.name.endswith((".md", ".py")):
            found.append((prefix + entry.name, entry.read_bytes()))
    return found


def _asset(path: str, data: bytes) -> Asset:
    suffix = path[path.rfind(".") :]
    kind = _TYPES.get(suffix) or mimetypes.types_map.get(suffix, "application/octet-stream")
    zipped = b""
    if kind in _TEXT and len(data) >= _SMALLEST_ZIPPED:
        zipped = gzip.compress(data, 9, mtime=0)
    return Asset(data, zipped, kind)
