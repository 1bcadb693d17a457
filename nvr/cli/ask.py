"""What the console asks for: with a prompt on a terminal, else the next line of standard input."""

import getpass
import sys

from nvr.base.errors import Rejected


def line(prompt: str) -> str:
    """Ask for something that may be seen."""
    return input(prompt) if sys.stdin.isatty() else _next()


def secret(prompt: str, again: str = "") -> str:
    """Ask for something that nobody may see; with `again` a person has to type it twice.

    Raises:
        Rejected: ``key.passphrase``: the two are not the same.
    """
    if not sys.stdin.isatty():
        return _next()
    typed = getpass.getpass(prompt)
    if again and typed != getpass.getpass(again):
        raise Rejected("key.passphrase", "the two are not the same: nothing was changed")
    return typed


def _next() -> str:
    return sys.stdin.readline().rstrip("\n")
