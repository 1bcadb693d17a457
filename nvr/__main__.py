"""`python -m nvr`: the same as the `nvr` command."""

import sys

from nvr.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
