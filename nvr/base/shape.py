"""Checks a tree of plain values against typed structs and names every fault at once.

`msgspec.convert` stops at the first fault; somebody editing a file by hand wants them all.
"""

import types
import typing
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, get_args, get_origin

import msgspec

from nvr.base.errors import Misconfigured

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a file.

    Attributes:
        path: Where, such as ``$.camera[0].retain_h``.
        detail: What is wrong, one sentence without a full stop.
    """

    path: str
    detail: str

    def __str__(self) -> str:
        return f"{self.path}: {self.detail}"


def faults(value: object, kind: Any, path: str = "$") -> list[Fault]:  # noqa: ANN401 - any type expression
    """Every fault of `value` against `kind`, in the order of the fields."""
    bare = _bare(kind)
    if isinstance(value, dict) and get_origin(bare) in {typing.Union, types.UnionType}:
        # A name or a table: it is a table, so its faults are those of the table.
        bare = next((one for one in get_args(bare) if _is_struct(one)), bare)
    if _is_struct(bare):
        if isinstance(value, dict):
            return _struct_faults(value, bare, path)
    elif get_origin(bare) in {list, tuple} and isinstance(value, list):
        inner = get_args(bare)[0]
        found = [f for i, item in enumerate(value) for f in faults(item, inner, f"{path}[{i}]")]
        return found or _leaf_faults(value, kind, path)
    elif get_origin(bare) is dict and isinstance(value, dict):
        inner = get_args(bare)[1]
        found = [f for key, item in value.items() for f in faults(item, inner, f"{path}.{key}")]
        return found or _leaf_faults(value, kind, path)
    return _leaf_faults(value, kind, path)


def shaped(value: object, kind: type[T], *, what: str) -> T:
    """Return `value` as a `kind`.

    Raises:
        Misconfigured: ``config.invalid`` with every fault, one a line.
    """
    found = faults(value, kind)
    if found:
        raise Misconfigured("config.invalid", "; ".join(map(str, found)), file=what)
    return msgspec.convert(value, kind)


def _is_struct(kind: Any) -> bool:  # noqa: ANN401 - any type expression
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _bare(kind: Any) -> Any:  # noqa: ANN401 - any type expression
    """`kind` without ``Annotated`` and without ``| None``."""
    if get_origin(kind) is Annotated:
        return _bare(get_args(kind)[0])
    if get_origin(kind) in {typing.Union, types.UnionType}:
        rest = [one for one in get_args(kind) if one is not type(None)]
        if len(rest) == 1:
            return _bare(rest[0])
    return kind


def _struct_faults(value: dict[str, object], kind: type[msgspec.Struct], path: str) -> list[Fault]:
    fields = msgspec.structs.fields(kind)
    known = {field.encode_name for field in fields}
    found = [
        Fault(f"{path}.{key}", "unknown key" + _nearest(key, known))
        for key in value
        if key not in known
    ]
    for field in fields:
        name = field.encode_name
        if name in value:
            found += faults(value[name], field.type, f"{path}.{name}")
        elif field.required:
            found.append(Fault(f"{path}.{name}", "is missing"))
    if not found:
        found = _leaf_faults(value, kind, path)
    return found


def _nearest(key: str, known: set[str]) -> str:
    import difflib  # noqa: PLC0415 - only for a file with a fault

    close = difflib.get_close_matches(key, known, n=1)
    return f", did you mean {close[0]}" if close else ""


def _leaf_faults(value: object, kind: Any, path: str) -> list[Fault]:  # noqa: ANN401 - any type expression
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as err:
        text, _, where = str(err).partition(" - at `$")
        return [Fault(path + where.rstrip("`"), text[:1].lower() + text[1:])]
    return []
