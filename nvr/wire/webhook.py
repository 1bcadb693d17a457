"""Signatures of webhooks: ``v1,`` and the base64 of HMAC-SHA256 over ``id.seconds.body``.

========================= ===============================================
header                    value
========================= ===============================================
``webhook-id``            of the message, the same at each attempt
``webhook-timestamp``     UTC seconds of this attempt
``webhook-signature``     as above
========================= ===============================================

Source: Standard Webhooks 1.0.0, https://www.standardwebhooks.com
"""

import base64
import binascii
import hashlib
import hmac

PREFIX = "whsec_"
LEAST_BYTES, MOST_BYTES = 24, 64


def secret_text(secret: bytes) -> str:
    """Write a secret as receivers take it."""
    return PREFIX + base64.b64encode(secret).decode("ascii")


def secret_of(text: str) -> bytes:
    """Read a secret, with its prefix or without.

    Raises:
        ValueError: It is none: 24 to 64 bytes in base64.
    """
    try:
        found = base64.b64decode(text.strip().removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError) as err:
        raise ValueError("it is no base64") from err
    if not LEAST_BYTES <= len(found) <= MOST_BYTES:
        raise ValueError(f"it has {LEAST_BYTES} to {MOST_BYTES} bytes")
    return found


def headers(secret: bytes, ident: str, at_s: int, body: bytes) -> dict[str, str]:
    """Return what goes with a body; without a secret it is not signed."""
    found = {"webhook-id": ident, "webhook-timestamp": str(at_s)}
    if secret:
        signed = f"{ident}.{at_s}.".encode() + body
        digest = hmac.digest(secret, signed, hashlib.sha256)
        found["webhook-signature"] = "v1," + base64.b64encode(digest).decode("ascii")
    return found
