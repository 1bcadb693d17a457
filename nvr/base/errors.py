"""The four kinds of error, each with a stable code for the person and context for the log.

`errors.md` beside this module lists every code; a test holds the two together.
"""

from typing import ClassVar


class NvrError(Exception):
    """Base of the four kinds: Unavailable, Rejected, Damaged, Misconfigured.

    Args:
        code: Stable dotted name, listed in ``errors.md``; the API returns it, so it never
            changes once released.
        detail: One sentence for a person, without a trailing full stop.
        context: What was being worked on: ``camera="gate"``, ``offset=4096``. Never a secret.
    """

    http_status: ClassVar[int] = 500
    retry: ClassVar[bool] = False

    def __init__(self, code: str, detail: str, **context: object) -> None:
        super().__init__(code, detail, context)
        self.code = code
        self.detail = detail
        self.context = context

    def __str__(self) -> str:
        where = " ".join(f"{key}={value}" for key, value in self.context.items())
        return f"{self.code}: {self.detail}" + (f" ({where})" if where else "")


class Unavailable(NvrError):
    """Something outside us does not answer now and may later: a camera, a disk, a port."""

    http_status = 503
    retry = True


class Rejected(NvrError):
    """A request we understood and refuse: no right, held by somebody else, out of range."""

    http_status = 403


class Damaged(NvrError):
    """Bytes from a disk, a wire or a network that are not what they claim to be."""

    http_status = 502
    retry = True


class Misconfigured(NvrError):
    """A file or a setting a person must change before this can work."""

    http_status = 409
