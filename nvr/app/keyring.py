"""The box's own keys, as files of the data directory.

``sign.key`` signs what was recorded; ``seal.key`` unwraps the keys of the archive, one line a key,
the present one first; both are readable by their owner only. With a passphrase or a TPM
``seal.key`` is one line enciphered under that, and the box is locked from each start until
somebody types the passphrase, or the TPM gives its key out: it records on, as ``seal.pub`` is all
it takes, and shows nothing from before the start. ``sign.pub`` and ``recovery.pub`` are public.
The owner's recovery key itself is never written anywhere.
"""

import base64
import binascii
import logging
import stat
import threading
from collections.abc import Collection
from pathlib import Path

from nvr.base.errors import Misconfigured, NvrError, Unavailable
from nvr.base.log import event
from nvr.config.load import write
from nvr.hal import linux_tpm
from nvr.record.key_table import Publics
from nvr.record.recording import Sealing
from nvr.seal import passphrase as phrase
from nvr.seal import root, tpm
from nvr.seal.passphrase import Passphrase
from nvr.seal.sign import Signer
from nvr.seal.tpm import TpmLock

SIGN, SIGN_PUBLIC, RECOVERY_PUBLIC = "sign.key", "sign.pub", "recovery.pub"
SEAL, SEAL_PUBLIC = "seal.key", "seal.pub"
SEAL_BEFORE = "seal.key.before"
"""What `start_anew` found and could not open."""
START_S = 10.0
_KEY_BYTES = 32
_log = logging.getLogger(__name__)


class Keyring:
    """The keys of one data directory.

    Args:
        data: The directory.
        make: Make what is not there yet.
        device: The TPM, if one is used.

    Raises:
        Misconfigured: ``key.file``: a file is not one of keys, can be read by others, or is missing
            and was not to be made.
        Unavailable: ``config.unwritable``.
    """

    def __init__(self, data: Path, *, make: bool, device: Path = linux_tpm.DEVICE) -> None:
        self._data = data
        self._device = device
        if make:
            if not (data / SIGN).exists():
                self._put(SIGN, [Signer.new()], secret=True)
            if not (data / SEAL).exists():
                self._put(SEAL, [root.new()], secret=True)
        self.signer = Signer(self._get(SIGN, secret=True)[0])
        self._lock: Passphrase | TpmLock | None = None
        self._refused: NvrError = Unavailable("tpm.failed", "the TPM has not answered yet")
        text = self._text(SEAL, secret=True)
        self._enciphered = text if phrase.is_enciphered(text) or tpm.is_sealed(text) else ""
        self.privates = [] if self._enciphered else self._keys(SEAL, text)
        if make:
            self._put(SIGN_PUBLIC, [self.signer.public], secret=False)
            if self.privates:
                self._put(SEAL_PUBLIC, [root.public_of(self.privates[0])], secret=False)
        there = (data / RECOVERY_PUBLIC).exists()
        self.owner = self._get(RECOVERY_PUBLIC, secret=False)[0] if there else b""

    @property
    def locked(self) -> bool:
        """Whether the passphrase has not been typed yet, or the TPM has not given its key out."""
        return not self.privates

    @property
    def has_passphrase(self) -> bool:
        """Whether ``seal.key`` is under a passphrase."""
        return phrase.is_enciphered(self._enciphered)

    @property
    def has_tpm(self) -> bool:
        """Whether ``seal.key`` is under a TPM."""
        return tpm.is_sealed(self._enciphered)

    @property
    def pcrs(self) -> list[int]:
        """What of the start the TPM looks at before it gives the key out."""
        return sorted(tpm.sealed_of(self._enciphered).pcrs) if self.has_tpm else []

    @property
    def refused(self) -> NvrError | None:
        """Why the TPM did not give the key out when it was asked last."""
        return self._refused if self.has_tpm and self.locked else None

    def unlock_at_start(self) -> None:
        """Have the TPM unlock the key, if there is one; recording does not wait long for it."""
        if not self.has_tpm:
            return

        def ask() -> None:
            try:
                self.unlock("")
            except NvrError as err:
                event(_log, logging.ERROR, "seal.tpm_refused", error=str(err))
            else:
                event(_log, logging.INFO, "seal.tpm_opened")

        # A wedged TPM keeps whoever opened it for up to five minutes, in the kernel.
        asking = threading.Thread(target=ask, name="tpm", daemon=True)
        asking.start()
        asking.join(START_S)

    def unlock(self, passphrase: str) -> None:
        """Decipher ``seal.key``; blocks for a good part of a second. A TPM needs no passphrase.

        Raises:
            Rejected: ``key.passphrase``: that is not it.
            NvrError: What the TPM says; see `nvr.seal.tpm.opened_line`.
        """
        lock: Passphrase | TpmLock
        if self.has_tpm:
            try:
                with linux_tpm.opened(self._device) as exchange:
                    lock, text = tpm.opened_line(exchange, self._enciphered)
            except NvrError as err:
                self._refused = err
                raise
        elif self._enciphered:
            lock, text = phrase.opened_line(passphrase, self._enciphered)
        else:
            return
        self._lock, self.privates = lock, self._keys(SEAL, text)

    def set_passphrase(self, passphrase: str) -> None:
        """Encipher ``seal.key`` under a passphrase from now on; an empty one ends that.

        Raises:
            Unavailable: ``key.locked``. ``config.unwritable``.
        """
        self.must_be_open()
        self._lock = Passphrase.new(passphrase) if passphrase else None
        self._put_seal()

    def tpm_lock(self, pcrs: Collection[int]) -> TpmLock:
        """Have the TPM keep a key that `add_box_key` can put ``seal.key`` under; takes seconds.

        Raises:
            NvrError: See `TpmLock.new`.
        """
        with linux_tpm.opened(self._device) as exchange:
            return TpmLock.new(exchange, pcrs)

    def must_be_open(self) -> None:
        """See that the box's key is at hand.

        Raises:
            Unavailable: ``key.locked``, or why the TPM keeps it.
        """
        if self.locked:
            raise self.refused or Unavailable("key.locked", "the box's key is locked away")

    def _put_seal(self) -> None:
        text = _lines(self.privates)
        self._enciphered = self._lock.encipher_line(text) if self._lock else ""
        write(self._data / SEAL, self._enciphered or text, mode=0o600)
        self._put(SEAL_PUBLIC, [root.public_of(self.privates[0])], secret=False)

    @property
    def publics(self) -> Publics:
        """Whom day keys are wrapped to."""
        if self.privates:
            return Publics(root.public_of(self.privates[0]), self.owner)
        return Publics(self._get(SEAL_PUBLIC, secret=False)[0], self.owner)

    def sealing(self, *, seal: bool) -> Sealing:
        """Return how recordings are sealed, if they are to be, and signed."""
        return Sealing(seal, self.publics, self.privates, self.signer)

    def add_box_key(self, lock: TpmLock | None = None) -> None:
        """Make a new key of the box; the old ones are kept until `drop_old`.

        Args:
            lock: What they are kept under from now on; None: what they are now.
        """
        self._lock = lock or self._lock
        self.privates = [root.new(), *self.privates]
        self._put_seal()

    def start_anew(self) -> None:
        """Make a new key of a box that is locked for good; what is locked is kept aside."""
        write(self._data / SEAL_BEFORE, self._enciphered, mode=0o600)
        self._lock, self.privates = None, [root.new()]
        self._put_seal()

    def drop_old(self) -> None:
        """Forget all keys of the box but the present one."""
        self.privates = self.privates[:1]
        self._put_seal()

    def set_owner(self, public: bytes) -> None:
        """Wrap to another recovery key from now on."""
        self._put(RECOVERY_PUBLIC, [public], secret=False)
        self.owner = public

    def _put(self, name: str, keys: list[bytes], *, secret: bool) -> None:
        text, path = _lines(keys), self._data / name
        if not path.exists() or path.read_text(encoding="ascii", errors="replace") != text:
            write(path, text, mode=0o600 if secret else 0o644)

    def _get(self, name: str, *, secret: bool) -> list[bytes]:
        return self._keys(name, self._text(name, secret=secret))

    def _text(self, name: str, *, secret: bool) -> str:
        path = self._data / name
        try:
            mode, text = path.stat().st_mode, path.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as err:
            raise Misconfigured("key.file", f"cannot be read: {err}", file=str(path)) from err
        if secret and mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise Misconfigured("key.file", f"others can read it: run chmod 600 {path}")
        return text

    def _keys(self, name: str, text: str) -> list[bytes]:
        try:
            keys = [base64.b64decode(line, validate=True) for line in text.split()]
        except binascii.Error:
            keys = []
        if not keys or any(len(key) != _KEY_BYTES for key in keys):
            path = str(self._data / name)
            raise Misconfigured("key.file", "this is no file of keys", file=path)
        return keys


def _lines(keys: list[bytes]) -> str:
    return "".join(base64.b64encode(key).decode() + "\n" for key in keys)
