r"""OpenMetrics text, as Prometheus reads it: families of samples, an ``# EOF`` at the end.

A family's name ends with its unit; the names of a counter's samples end with ``_total``, those of
an info with ``_info``, which the family's own name has not. In a label's value backslash, quote
and line feed are ``\\``, ``\"`` and ``\n``.

Source: OpenMetrics 1.0.0 (2020-11), text format.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_SUFFIX = {"gauge": "", "counter": "_total", "info": "_info"}


@dataclass(frozen=True, slots=True)
class Family:
    """Samples of one kind.

    Attributes:
        name: Without ``_total`` or ``_info``, but with its unit at the end.
        kind: ``gauge``, ``counter`` or ``info``; the value of an info is 1.
        about: What it is, in one sentence.
        unit: ``seconds``, ``bytes``, ``celsius`` or ``ratio``; empty for a count.
        samples: Labels and value of each; no two have the same labels.
    """

    name: str
    kind: Literal["gauge", "counter", "info"]
    about: str
    unit: str = ""
    samples: list[tuple[Mapping[str, str], float]] = field(default_factory=list)

    def add(self, value: float, **labels: str) -> None:
        """Add a sample."""
        self.samples.append((labels, value))


def encode(families: Iterable[Family]) -> str:
    """Return families as text; one without samples is left out.

    Raises:
        ValueError: A name is none, or does not end with its unit.
    """
    lines = []
    for family in families:
        if not family.samples:
            continue
        name = family.name
        if not _NAME.fullmatch(name) or (family.unit and not name.endswith(f"_{family.unit}")):
            raise ValueError(f"{name} is no name of a family in {family.unit or 'counts'}")
        lines.append(f"# TYPE {name} {family.kind}")
        if family.unit:
            lines.append(f"# UNIT {name} {family.unit}")
        lines.append(f"# HELP {name} {_escaped(family.about)}")
        lines += [
            f"{name}{_SUFFIX[family.kind]}{_labels(labels)} {_number(value)}"
            for labels, value in family.samples
        ]
    return "\n".join([*lines, "# EOF", ""])


def _labels(labels: Mapping[str, str]) -> str:
    inside = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{inside}}}" if inside else ""


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(value)
