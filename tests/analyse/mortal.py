"""The program of the sandbox, but that it dies of a certain word."""

import os

from nvr.analyse import eye
from nvr.codec import confined


def serve(answer) -> None:
    def mortal(message: bytes) -> bytes:
        if b"POISON" in message:
            os.abort()
        return answer(message)

    confined.serve(mortal)


if __name__ == "__main__":
    eye.serve = serve
    eye.main()
