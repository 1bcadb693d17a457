"""What an ONNX file says of itself: its inputs, outputs and notes, without running it.

A file is one protobuf message; of it only the few fields below are read, the rest is stepped over,
so that a model of 100 MB costs as little as a small one.

======================= ======================================================
message                 fields
======================= ======================================================
ModelProto              7 graph, 14 metadata_props
GraphProto              5 initializer, 11 input, 12 output
TensorProto             8 name
ValueInfoProto          1 name, 2 type
TypeProto               1 tensor_type
TypeProto.Tensor        1 elem_type, 2 shape
TensorShapeProto        1 dim
Dimension               1 dim_value
StringStringEntryProto  1 key, 2 value
======================= ======================================================

Source: onnx.proto3 of ONNX 1.17; Protocol Buffers, "Encoding" (2024).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

FLOAT, FLOAT16 = 1, 10
"""Kinds of element."""
MOST_NOTE_BYTES = 1 << 20
_MOST_FIELDS = 1 << 20
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output.

    Attributes:
        name: Of it.
        kind: Of its elements: `FLOAT`, `FLOAT16`, or another number of the format.
        shape: Its dimensions; 0 where that is only known when it runs.
    """

    name: str
    kind: int
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Model:
    """What a file says.

    Attributes:
        inputs: Those that must be given.
        outputs: What comes out.
        notes: Whatever its maker wrote into it: ``names`` of its classes, ``task``, ``stride``.
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    notes: dict[str, str] = field(default_factory=dict)


def read(data: memoryview) -> Model:
    """Read what a file says.

    Raises:
        ValueError: It is no ONNX file, or not a whole one.
    """
    graph: memoryview | None = None
    notes: dict[str, str] = {}
    for number, value in _fields(data):
        if number == 7 and isinstance(value, memoryview):
            graph = value
        elif number == 14 and isinstance(value, memoryview) and len(value) < MOST_NOTE_BYTES:
            words = {n: _text(one) for n, one in _fields(value) if isinstance(one, memoryview)}
            notes[words.get(1, "")] = words.get(2, "")
    if graph is None:
        raise ValueError("there is no graph in it")
    constants: set[str] = set()
    inputs: list[Port] = []
    outputs: list[Port] = []
    for number, value in _fields(graph):
        if not isinstance(value, memoryview):
            continue
        if number == 5:
            constants |= {
                _text(one) for n, one in _fields(value) if n == 8 and isinstance(one, memoryview)
            }
        elif number == 11:
            inputs.append(_port(value))
        elif number == 12:
            outputs.append(_port(value))
    given = tuple(one for one in inputs if one.name not in constants)
    return Model(given, tuple(outputs), notes)


def _port(data: memoryview) -> Port:
    name, kind = "", 0
    shape: tuple[int, ...] = ()
    for number, value in _fields(data):
        if not isinstance(value, memoryview):
            continue
        if number == 1:
            name = _text(value)
        elif number == 2:
            kind, shape = _tensor(value)
    return Port(name, kind, shape)


def _tensor(data: memoryview) -> tuple[int, tuple[int, ...]]:
    kind = 0
    shape: list[int] = []
    for number, value in _fields(data):
        if number != 1 or not isinstance(value, memoryview):
            continue
        for n, one in _fields(value):
            if n == 1 and isinstance(one, int):
                kind = one
            elif n == 2 and isinstance(one, memoryview):
                shape = [_size(dim) for m, dim in _fields(one) if m == 1]
    return kind, tuple(shape)


def _size(dimension: memoryview | int) -> int:
    if isinstance(dimension, int):
        raise ValueError("a dimension is no message")  # noqa: TRY004 - what is wrong is the file
    found = 0
    for number, value in _fields(dimension):
        if number == 1 and isinstance(value, int):
            found = value if value < 1 << 31 else 0
    return found


def _text(data: memoryview) -> str:
    return bytes(data[:MOST_NOTE_BYTES]).decode("utf-8", "replace")


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Yield number and value of each field; bytes where they are, numbers as such."""
    at = 0
    for _ in range(_MOST_FIELDS):
        if at >= len(data):
            return
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if not number:
            raise ValueError("a field has no number")
        value: memoryview | int
        if kind == _VARINT:
            value, at = _varint(data, at)
        elif kind == _BYTES:
            size, at = _varint(data, at)
            if size > len(data) - at:
                raise ValueError("it is cut off")
            value, at = data[at : at + size], at + size
        elif kind in {_FIXED64, _FIXED32}:
            size = 8 if kind == _FIXED64 else 4
            if size > len(data) - at:
                raise ValueError("it is cut off")
            value, at = int.from_bytes(data[at : at + size], "little"), at + size
        else:
            raise ValueError(f"a field is of kind {kind}")
        yield number, value
    raise ValueError("it has too many fields")


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    found = shift = 0
    while shift < 70:
        if at >= len(data):
            raise ValueError("it is cut off")
        byte = data[at]
        at += 1
        found |= (byte & 0x7F) << shift
        if byte < 0x80:
            return found & 0xFFFF_FFFF_FFFF_FFFF, at
        shift += 7
    raise ValueError("a number is too long")
