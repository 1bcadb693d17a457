"""XML from strangers, read with an end to everything: size, depth, elements; no entities at all.

A document type declaration is refused, and with it every entity that is not one of XML's own
five. Nothing is ever fetched. Names lose their prefixes: devices use ones that they never declared,
and nobody minds. The tree is plain values: a parser's own elements keep their document alive.

Source: Extensible Markup Language 1.0 (fifth edition), sections 2.8 and 4; limits ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat
from xml.sax.saxutils import escape as _escape

MOST_BYTES = 256 * 1024
MOST_DEPTH = 64
MOST_ELEMENTS = 10_000


class Malformed(ValueError):
    """It is no XML, or more of it than we take."""


@dataclass(slots=True)
class Element:
    """One element.

    Attributes:
        name: Its name without a prefix.
        text: Its own text before the first child, without blanks around it.
        attributes: By name without a prefix; of two the last counts.
        children: In the order of the document.
        space: Its name space; empty if it has none, or its prefix was never declared.
    """

    name: str
    text: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    children: list["Element"] = field(default_factory=list)
    space: str = ""

    def all(self, name: str) -> Iterator["Element"]:
        """Every element below with that name, in order."""
        waiting = list(reversed(self.children))
        while waiting:
            each = waiting.pop()
            if each.name == name:
                yield each
            waiting.extend(reversed(each.children))

    def first(self, *path: str) -> "Element | None":
        """The first element below that a path of names leads to, each at any depth."""
        found: Element | None = self
        for name in path:
            found = next(found.all(name), None) if found else None
        return found

    def said(self, *path: str) -> str:
        """Text of what `first` finds, empty if nothing."""
        found = self.first(*path)
        return found.text if found else ""


def parse(
    data: bytes,
    *,
    most_bytes: int = MOST_BYTES,
    most_depth: int = MOST_DEPTH,
    most_elements: int = MOST_ELEMENTS,
) -> Element:
    """Read a document.

    Raises:
        Malformed: It is none, has a document type, or is beyond a limit.
    """
    tree = _Tree()
    _walk(data, tree, most_bytes, _Limits(most_depth, most_elements))
    assert tree.root is not None  # expat refuses a document without an element
    return tree.root


def check(
    data: bytes,
    *,
    most_bytes: int = MOST_BYTES,
    most_depth: int = MOST_DEPTH,
    most_elements: int = MOST_ELEMENTS,
) -> frozenset[str]:
    """Refuse what `parse` would refuse, and keep nothing of it: for who parses it elsewhere.

    Returns:
        Prefixes of names that it uses and nowhere declares.

    Raises:
        Malformed: As `parse`.
    """
    prefixes = _Prefixes()
    _walk(data, prefixes, most_bytes, _Limits(most_depth, most_elements))
    return frozenset(prefixes.used - prefixes.declared)


def escape(text: str) -> str:
    """Write text so that it stands in an element or in double quotes."""
    allowed = "".join(c for c in text if c >= " " or c in "\t\n\r")
    return _escape(allowed, {'"': "&quot;"})


class _Tree:
    def __init__(self) -> None:
        self.root: Element | None = None
        self._open: list[Element] = []
        self._spaces: list[dict[str, str]] = [{}]

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        made = Element(
            name.rpartition(":")[2], "", {k.rpartition(":")[2]: v for k, v in attributes.items()}
        )
        said = {
            key.removeprefix("xmlns").removeprefix(":"): value
            for key, value in attributes.items()
            if key == "xmlns" or key.startswith("xmlns:")
        }
        spaces = self._spaces[-1] | said if said else self._spaces[-1]
        self._spaces.append(spaces)
        made.space = spaces.get(name.rpartition(":")[0], "")
        if self._open:
            self._open[-1].children.append(made)
        else:
            self.root = made
        self._open.append(made)

    def end(self, _name: str) -> None:
        self._spaces.pop()
        done = self._open.pop()
        done.text = done.text.strip()

    def say(self, text: str) -> None:
        inside = self._open[-1]
        if not inside.children:
            inside.text += text


class _Prefixes:
    def __init__(self) -> None:
        self.used: set[str] = set()
        self.declared = {"xml", "xmlns", ""}

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        self.used.add(name.rpartition(":")[0])
        for key in attributes:
            prefix, _, local = key.rpartition(":")
            if prefix == "xmlns":
                self.declared.add(local)
            self.used.add(prefix)

    def end(self, _name: str) -> None:
        pass

    def say(self, _text: str) -> None:
        pass


class _Limits:
    """Counts, and stops what is beyond."""

    def __init__(self, most_depth: int, most_elements: int) -> None:
        self._most_depth, self._most_elements = most_depth, most_elements
        self._depth = self._elements = 0

    def begin(self, _name: str, _attributes: dict[str, str]) -> None:
        self._depth += 1
        self._elements += 1
        if self._depth > self._most_depth:
            raise Malformed(f"deeper than {self._most_depth} elements")
        if self._elements > self._most_elements:
            raise Malformed(f"more than {self._most_elements} elements")

    def end(self, _name: str) -> None:
        self._depth -= 1

    def typed(self, *_: object) -> None:
        raise Malformed("it has a document type")


def _walk(data: bytes, tree: _Tree | _Prefixes, most_bytes: int, limits: _Limits) -> None:
    if len(data) > most_bytes:
        raise Malformed(f"more than {most_bytes} bytes")
    parser = expat.ParserCreate()

    def begin(name: str, attributes: dict[str, str]) -> None:
        limits.begin(name, attributes)
        tree.begin(name, attributes)

    def end(name: str) -> None:
        limits.end(name)
        tree.end(name)

    parser.StartDoctypeDeclHandler = limits.typed
    parser.EntityDeclHandler = limits.typed
    parser.StartElementHandler = begin
    parser.EndElementHandler = end
    parser.CharacterDataHandler = tree.say
    parser.buffer_text = True
    try:
        parser.Parse(data, True)
    except Malformed:
        raise
    except expat.ExpatError as err:
        raise Malformed(f"no XML: {err}") from err
    except (ValueError, LookupError) as err:  # LookupError: an encoding that nobody knows
        raise Malformed("text that is none") from err
