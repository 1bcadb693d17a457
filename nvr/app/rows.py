"""Rows of JSON in a file of the data directory, the newest last: what was so, and since when."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Generic, TypeVar

Row = TypeVar("Row")


class Rows(Generic[Row]):
    """All rows of a file. From any thread, but one adds at a time.

    Args:
        path: The file; read when it is first needed.
        read: Reads a line, None if it is not whole.
        line: Makes one, with its end.
    """

    def __init__(
        self, path: Path, read: Callable[[str], Row | None], line: Callable[[Row], str]
    ) -> None:
        self._path = path
        self._row = read
        self._line = line
        self._known: list[Row] | None = None

    def all(self) -> list[Row]:
        """Return them, the oldest first; none if the file cannot be read."""
        if self._known is None:
            try:
                lines = self._path.read_text(encoding="utf-8").splitlines()
            except OSError:
                lines = []
            self._known = [row for line in lines if (row := self._row(line)) is not None]
        return self._known

    def write(self, rows: Iterable[Row]) -> None:
        """Write further ones.

        Raises:
            OSError: As the file does.
        """
        # A row that was cut off by a loss of power ends where the next one begins.
        text = "\n" + "".join(map(self._line, rows))
        with self._path.open("a", encoding="utf-8") as file:
            file.write(text)

    def know(self, rows: Iterable[Row]) -> None:
        """Go by further ones from now on, whether they could be written or not."""
        self._known = [*self.all(), *rows]
