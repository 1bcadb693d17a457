"""An export under way: its files, piece by piece, on their way to where they go."""

from collections.abc import Callable, Iterator

from nvr.export.out import Out, Steps

Files = Iterator[tuple[str, Iterator[tuple[bytes, float]]]]
"""Name and pieces of each file, with the share of all the work that is done."""


class Work:
    """May be left at any step and taken up again.

    Args:
        out: Where they go.
        files: What they are.
        last: Whether no other export is waiting for the same target.

    Attributes:
        out: The same.
        written_bytes: How much was written.
    """

    def __init__(self, out: Out, files: Files, last: Callable[[], bool]) -> None:
        self.out = out
        self._last = last
        self._steps = self._write(files)
        self.written_bytes = 0

    def go_on(self) -> Steps:
        """Yield the share done after each piece."""
        return self._steps

    def close(self) -> None:
        """Give it up, unless it has ended."""
        self._steps.close()
        self.out.give_up()

    def _write(self, files: Files) -> Steps:
        for name, pieces in files:
            yield from self.out.write(name, self._counted(pieces))
        yield from self.out.finish(self._last)

    def _counted(self, pieces: Iterator[tuple[bytes, float]]) -> Iterator[tuple[bytes, float]]:
        for piece, share in pieces:
            self.written_bytes += len(piece)
            yield piece, share
