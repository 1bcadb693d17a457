"""The program of the sandbox, but that loading a model ends it."""

import os
import sys

from nvr.analyse import eye

if __name__ == "__main__":
    if len(sys.argv) > 1:
        os.abort()
    eye.main()
