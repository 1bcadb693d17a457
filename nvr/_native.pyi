from collections.abc import Sequence
from typing import final

from nvr.media.part import Bytes

def blend(
    plane: bytearray | memoryview,
    stride: int,
    size: tuple[int, int],
    mask: Bytes,
    grey: Bytes,
    spans: Bytes,
    mask_size: tuple[int, int],
    at: tuple[int, int],
    /,
) -> None: ...
def blur(
    plane: bytearray | memoryview, stride: int, size: tuple[int, int], radius: int, /
) -> None: ...
def crc32c(data: Bytes, crc: int = 0, /) -> int: ...
def paint(
    y: bytearray | memoryview,
    u: bytearray | memoryview,
    v: bytearray | memoryview,
    strides: tuple[int, int],
    size: tuple[int, int],
    matrix: tuple[float, float, float, float, float, float, float, float, float],
    near: float,
    points: Bytes,
    contours: Bytes,
    /,
) -> int: ...

@final
class Relay:
    def __new__(
        cls,
        tracks: Sequence[tuple[int, int, int, int, int, int, bool]],
        *,
        backlog_bytes: int = 2097152,
        backlog_s: float = 2.0,
        stuck_s: float = 10.0,
        report_s: float = 5.0,
        notify_fd: int = -1,
    ) -> Relay: ...
    def packet(self, track: int, rtp: Bytes, starts_key: bool, /) -> None: ...
    def sync(self, track: int, timestamp: int, ntp: int, /) -> None: ...
    def restart(self) -> None: ...
    def flush(self) -> None: ...
    def pump(self) -> None: ...
    def readers(self) -> int: ...
    def add(self, fd: int, text: bytes = b"", /) -> RelayReader: ...

@final
class RelayReader:
    def play(self) -> None: ...
    def pause(self) -> None: ...
    def close(self) -> None: ...
    def send(self, text: bytes, /) -> bool: ...
    def pull(self, size: int, /) -> bytes: ...
    def stats(self) -> tuple[str, str, int, int, int, int]: ...
