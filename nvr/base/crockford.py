"""Crockford base32: for codes that people read out and type.

Source: https://www.crockford.com/base32.html
"""

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ALIKE = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None})
_VALUES = {letter: value for value, letter in enumerate(ALPHABET)}


def normal(code: str) -> str:
    """The code without its dashes, in the one spelling of letters that look alike."""
    return code.strip().upper().translate(_ALIKE)


def grouped(code: str, size: int) -> str:
    """The code in groups of `size`, with dashes."""
    return "-".join(code[at : at + size] for at in range(0, len(code), size))


def encode(data: bytes) -> str:
    """Bytes as letters, five bits each; the last one is filled up with zeroes."""
    spare = -len(data) * 8 % 5
    number = int.from_bytes(data) << spare
    count = (len(data) * 8 + spare) // 5
    return "".join(ALPHABET[number >> 5 * at & 31] for at in reversed(range(count)))


def decode(code: str, size: int) -> bytes | None:
    """The `size` bytes that a code stands for, None if it is not a code of so many."""
    letters = normal(code)
    spare = -size * 8 % 5
    if len(letters) * 5 != size * 8 + spare or not set(letters) <= _VALUES.keys():
        return None
    number = 0
    for letter in letters:
        number = number << 5 | _VALUES[letter]
    return None if number & (1 << spare) - 1 else (number >> spare).to_bytes(size)
