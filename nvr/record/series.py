"""A stream's blocks while they come, grow, are closed and go again; `Catalog` guards them."""

from bisect import bisect_right
from collections.abc import Container

from nvr.record.pieces import PIECE_ROWS, Common, Loose, Packed, Piece
from nvr.record.row import Row


class Open:
    """A block that grows, or has no index yet: adding a part copies nothing."""

    __slots__ = (
        "closed", "count", "doubtful", "entries", "head", "link", "sequence", "serial", "spans",
        "tail",
    )  # fmt: skip

    def __init__(self, row: Row) -> None:
        self.head = row.head
        self.serial = row.head.serial
        self.spans = row.spans
        self.tail = row.tail
        self.count = row.count
        self.sequence = row.sequence
        self.link = row.link
        self.closed = row.closed
        self.entries = list(row.entries or ())
        self.doubtful = row.doubtful

    def row(self, *, entries: bool) -> Row:
        """Return it as it is now; a closed one always with its parts."""
        return Row(
            self.head,
            self.spans,
            self.tail,
            self.count,
            self.sequence,
            self.link,
            self.closed,
            tuple(self.entries) if entries or self.closed else (),
            self.doubtful,
        )


class Series:
    """A stream's blocks, in the order of their serials."""

    __slots__ = ("_asked", "common", "number", "pieces")

    def __init__(self, common: Common, number: int) -> None:
        self.common = common
        self.number = number
        self._asked: Row | None = None
        self.pieces: list[Packed | Open] = []

    def at(self, serial: int) -> int:
        """Return which piece holds the block with that serial, or would."""
        last = len(self.pieces) - 1
        if last >= 0 and self.pieces[last].serial <= serial:
            return last
        return bisect_right(self.pieces, serial, key=lambda piece: piece.serial) - 1

    def insert(self, serial: int, made: Packed | Open) -> None:
        """Put a block into its place: behind the last as a rule."""
        at = self.at(serial)
        before = self.pieces[at] if at >= 0 else None
        if isinstance(before, Packed):
            n = before.find(serial)
            if n < before.count:
                parts: list[Packed | Open | None] = [
                    before.part(0, n), made, before.part(n, before.count)
                ]  # fmt: skip
                self.pieces[at : at + 1] = [part for part in parts if part is not None]
                return
        self.pieces.insert(at + 1, made)
        self._join(at + 1)

    def settle(self, serial: int, made: Packed) -> None:
        """Put the packed block into the place of the open one with that serial."""
        at = self.at(serial)
        self.pieces[at] = made
        self._join(at)

    def _join(self, at: int) -> None:
        """Join a piece with those before it that are no bigger: each block moves eight times."""
        while at > 0:
            before, piece = self.pieces[at - 1 : at + 1]
            if not (isinstance(before, Packed) and isinstance(piece, Packed)):
                return
            if before.count > piece.count or before.count + piece.count > PIECE_ROWS:
                return
            at -= 1
            self.pieces[at : at + 2] = [before.joined_with(piece)]

    def remove(self, serial: int) -> None:
        """Take the block with that serial out."""
        at = self.at(serial)
        piece = self.pieces[at]
        rest = None
        if isinstance(piece, Packed):
            n = piece.find(serial)
            before, after = piece.part(0, n), piece.part(n + 1, piece.count)
            rest = before.joined_with(after) if before else after
        self.pieces[at : at + 1] = [] if rest is None else [rest]

    def piece(self, serial: int) -> Packed | Open:
        """Return what holds the block with that serial."""
        return self.pieces[self.at(serial)]

    def open(self, serial: int) -> Open | None:
        """Return the block with that serial, None if it is packed."""
        piece = self.piece(serial)
        return piece if isinstance(piece, Open) else None

    def row(self, serial: int, *, entries: bool) -> Row:
        """Return the block with that serial; its `entries` too if it is open."""
        if self._asked is not None and self._asked.head.serial == serial:
            return self._asked
        piece = self.piece(serial)
        if isinstance(piece, Open):
            return piece.row(entries=entries)
        self._asked = piece.row(piece.find(serial))  # the oldest, over and over
        return self._asked

    def first_but(self, skip: Container[int]) -> tuple[int, int] | None:
        """Return place and serial of the first block whose number is not in `skip`."""
        at = 0
        for piece in self.pieces:
            places = (
                ((piece.serial, piece.head.block),) if isinstance(piece, Open) else piece.places()
            )
            for serial, number in places:
                if number not in skip:
                    return at, serial
                at += 1
        return None

    def oldest_but(self, skip: Container[int]) -> tuple[int, int] | None:
        """Return place and serial of the block not in `skip` that holds the oldest part."""
        found: tuple[int, int, int] | None = None
        rows = (piece.row(n) for piece in self.snapshot() for n in range(piece.count))
        for at, row in enumerate(rows):
            if row.head.block in skip:
                continue
            from_us = min((span.from_us for span in row.spans), default=-(1 << 62))
            if found is None or from_us < found[0]:
                found = from_us, at, row.head.serial
        return found and found[1:]

    def snapshot(self) -> list[Piece]:
        """Return the pieces as they are now; nothing changes them any more."""
        return [
            piece if isinstance(piece, Packed) else Loose(piece.row(entries=False))
            for piece in self.pieces
        ]
