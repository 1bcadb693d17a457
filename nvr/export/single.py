"""The verifier as one file: `MODULES` in a row, without imports of ours.

One source for `nvr verify` and for the ``verify.py`` that lies in every evidence export.
"""

import ast
from importlib import resources

MODULES = ("curve", "chain", "camera", "verify")
_TITLE = '''#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""{doc}"""

from __future__ import annotations
'''


def source() -> str:
    """Return the text of ``verify.py``."""
    texts = [_text(name) for name in MODULES]
    doc = ast.get_docstring(ast.parse(texts[-1]), clean=False) or ""
    return _TITLE.format(doc=doc) + "".join(_stripped(text) for text in texts)


def _text(name: str) -> str:
    return resources.files("nvr.export").joinpath(f"{name}.py").read_text(encoding="utf-8")


def _stripped(text: str) -> str:
    """Return a module without its docstring and without imports from us or from the future."""
    lines = text.splitlines(keepends=True)
    for node in ast.parse(text).body:
        ours = isinstance(node, ast.ImportFrom) and str(node.module).startswith("nvr.")
        future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
        if ours or future or (node.lineno == 1 and isinstance(node, ast.Expr)):
            for n in range(node.lineno - 1, node.end_lineno or node.lineno):
                lines[n] = ""
    return "\n\n" + "".join(lines).strip("\n") + "\n"
