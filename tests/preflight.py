"""Names what a fresh machine lacks before anything is installed, with the line that installs it.

Runs under the machine's own Python, so it may use nothing that is not in every Python 3.
"""

import importlib.util
import os
import shutil
import sys
import sysconfig


def missing():
    """Return (what is missing, how to install it) pairs."""
    found = []
    if sys.version_info < (3, 11):
        found.append(
            (
                "Python 3.11 or newer (this is %d.%d)" % sys.version_info[:2],
                "sudo apt install python3",
            )
        )
    if importlib.util.find_spec("ensurepip") is None:
        found.append(("the venv module", "sudo apt install python3-venv"))
    if not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")):
        found.append(("the Python headers", "sudo apt install python3-dev"))
    if not (shutil.which("cc") or shutil.which("gcc")):
        found.append(("a C compiler", "sudo apt install gcc libc6-dev"))
    return found


if __name__ == "__main__":
    gaps = missing()
    for what, line in gaps:
        sys.stderr.write("missing: %s\n  install it with: %s\n" % (what, line))
    sys.exit(1 if gaps else 0)
