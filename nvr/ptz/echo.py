"""Takes our own bytes out of what a two-wire adapter returns, exactly and nothing more.

Adapters whose receiver stays on while they send return every byte. With turbo the echo of
``FF 01 00 04 FF 00 04`` begins with a valid general response, so it must go before replies are
parsed; on lines without echo, a reply may begin like the command and must come through whole.
"""


class EchoFilter:
    """One line's pending echo."""

    def __init__(self) -> None:
        self._pending = b""
        self._matched = 0

    def sent(self, data: bytes) -> None:
        """Expect `data` back; an echo that did not come by now never will."""
        self._pending = data
        self._matched = 0

    def feed(self, data: bytes) -> bytes:
        """Return what of `data` (and of bytes held back before) is not echo.

        Call `quiet` when the line has been silent: then what was held back was a reply.
        """
        if not self._pending:
            return data
        awaited = self._pending[self._matched :]
        if data[: len(awaited)] == awaited:
            self._pending = b""
            return data[len(awaited) :]
        if awaited.startswith(data):
            self._matched += len(data)
            return b""
        return self.quiet() + data

    def quiet(self) -> bytes:
        """Stop waiting for the echo and return what was held back."""
        held = self._pending[: self._matched]
        self._pending = b""
        return held
