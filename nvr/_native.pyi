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
