"""AWS Signature Version 4 of one HTTP request, as S3-compatible stores ask for it.

Source: AWS, Amazon S3 API Reference 2006-03-01, "Authenticating Requests: Using the Authorization
Header (AWS Signature Version 4)"; its examples are the tests' vectors.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

_ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs.

    Attributes:
        key_id: Public half of the credential.
        secret: Secret half.
        region: What the store calls its place.
        service: ``s3``.
    """

    key_id: str
    secret: str
    region: str
    service: str = "s3"

    def authorization(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
    ) -> str:
        """Return the value of ``Authorization``.

        Args:
            method: ``PUT``.
            path: Not encoded, beginning with a slash.
            query: Not encoded.
            headers: All that are to be signed, in lower case; ``host``, ``x-amz-date``
                (``20260301T080000Z``) and ``x-amz-content-sha256`` must be among them.
        """
        names = sorted(headers)
        request = "\n".join(
            (
                method,
                encoded_path(path),
                encoded_query(query),
                *(f"{name}:{' '.join(headers[name].split())}" for name in names),
                "",
                ";".join(names),
                headers["x-amz-content-sha256"],
            )
        )
        at = headers["x-amz-date"]
        scope = f"{at[:8]}/{self.region}/{self.service}/aws4_request"
        digest = hashlib.sha256(request.encode()).hexdigest()
        key = f"AWS4{self.secret}".encode()
        for word in scope.split("/"):
            key = hmac.digest(key, word.encode(), "sha256")
        message = f"{_ALGORITHM}\n{at}\n{scope}\n{digest}"
        signature = hmac.digest(key, message.encode(), "sha256").hex()
        signed = ";".join(names)
        return (
            f"{_ALGORITHM} Credential={self.key_id}/{scope}, "
            f"SignedHeaders={signed}, Signature={signature}"
        )


def encoded_path(path: str) -> str:
    """Return a path as it goes over the wire."""
    return quote(path, safe="/-_.~")


def encoded_query(query: Mapping[str, str]) -> str:
    """Return a query as it goes over the wire, in the order in which it is signed."""
    pairs = sorted((quote(k, safe="-_.~"), quote(v, safe="-_.~")) for k, v in query.items())
    return "&".join(f"{name}={value}" for name, value in pairs)
