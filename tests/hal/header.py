"""What this machine's compiler makes of a header of the kernel's."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path


def compiled(
    place: Path, headers: tuple[str, ...], shown: Mapping[str, str], filled: str
) -> dict[str, str]:
    """Return hexadecimal numbers by name, and filled structures by name.

    Args:
        place: Directory to work in.
        headers: Such as ``linux/videodev2.h``.
        shown: Expressions by name.
        filled: C that calls ``put(name, at, size)``.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler
    included = "".join(f"#include <{name}>\n" for name in ("stdio.h", "string.h", *headers))
    lines = "".join(f'printf("{n} %llx\\n", (unsigned long long)({w}));' for n, w in shown.items())
    source, program = place / "show.c", place / "show"
    source.write_text(
        included + "static void put(const char *name, const void *at, size_t size) {\n"
        ' printf("%s ", name);\n'
        ' for (size_t k = 0; k < size; k++) printf("%02x", ((const unsigned char *)at)[k]);\n'
        ' printf("\\n");\n}\n'
        f"int main(void) {{ {lines}\n{filled}\nreturn 0; }}\n"
    )
    subprocess.run([compiler, source, "-o", program], check=True)
    said = subprocess.run([program], check=True, capture_output=True, text=True)
    return dict(line.split() for line in said.stdout.splitlines())
