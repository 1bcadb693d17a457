"""The day keys of a sealed volume.

A key seals what one stream recorded on one day. It is kept wrapped, to the box's root key and to
the owner's; one that is wiped is gone, with everything that it sealed, wherever a disk may have
left copies of that.
"""

import hashlib
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from nvr.base.errors import Damaged, Unavailable
from nvr.base.log import event
from nvr.hal.ports import Disk
from nvr.record.key_table import ID_BYTES, KeyTable, Publics, Slot, present
from nvr.record.volume import Identity
from nvr.seal import root, suite

_log = logging.getLogger(__name__)

DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class DayKey:
    """A key ready for use.

    Attributes:
        key_id: What parts name it by.
        cipher: Seals and unseals with it.
    """

    key_id: bytes
    cipher: suite.Cipher


def id_of(secret: bytes) -> bytes:
    """Return the id of a day key."""
    return hashlib.sha256(b"nvr day key id\0" + secret).digest()[:ID_BYTES]


def day_of(wall_us: int) -> int:
    """Return the day of a time in this box's zone, in days since 1970."""
    try:
        offset_s = time.localtime(wall_us / 1e6).tm_gmtoff
    except (OverflowError, ValueError, OSError):
        offset_s = 0
    return max(0, (wall_us + offset_s * 1_000_000) // DAY_US)


class Keys:
    """The keys of an open volume. Safe for several threads.

    Args:
        table: Where they are kept.
        publics: Whom new keys are wrapped to.
        privates: The box's root keys, the present one first; none while they are locked away.
        suite_id: Cipher of new parts.
        token: Source of secrets.
    """

    def __init__(
        self,
        table: KeyTable,
        publics: Publics,
        privates: Sequence[bytes],
        suite_id: int,
        token: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.suite_id = suite_id
        self._table = table
        self._publics = publics
        self._privates = tuple(privates)
        self._token = token
        self._guard = threading.RLock()
        self._slots: dict[int, Slot] = {}
        self._at: dict[bytes, int] = {}
        self._newest: dict[tuple[str, int], bytes] = {}
        self._secrets: dict[bytes, bytes] = {}
        self._ciphers: dict[tuple[bytes, int], suite.Cipher] = {}
        self._told_full = False
        self._wanted: set[bytes] = set()

    def load(self) -> None:
        """Read the table to read with it; nothing is written.

        Raises:
            OSError: The disk refuses.
        """
        for number, slot in self._table.read()[1].items():
            self._know(number, slot)

    def open(self) -> None:
        """Read the table to record with it: make it if it is not there, mend a copy that is torn.

        Raises:
            OSError: The disk refuses.
        """
        known, slots, alike = self._table.read()
        if known is None and not slots:
            self._table.make(self._publics)
            return
        for number, slot in slots.items():
            self._know(number, slot)
        if known and known != self._publics:  # another box's, or its owner made a new recovery key
            event(_log, logging.WARNING, "seal.other_roots", keys=len(slots))
        if not alike or known != self._publics:
            self._table.write(slots, self._publics)

    @property
    def publics(self) -> Publics:
        """Whom new keys are wrapped to."""
        return self._publics

    def slot(self, key_id: bytes) -> Slot | None:
        """Return a key as it is kept, None if it is not there any more."""
        with self._guard:
            number = self._at.get(key_id)
            return None if number is None else self._slots[number]

    def slots(self) -> list[Slot]:
        """All keys, oldest day first."""
        with self._guard:
            return sorted(self._slots.values(), key=lambda slot: (slot.day, slot.stream))

    def unusable(self) -> int:
        """Return how many keys cannot be unwrapped here."""
        with self._guard:
            return sum(1 for slot in self._slots.values() if self._secret(slot) is None)

    def prepare(self, wanted: Iterable[tuple[str, int]]) -> None:
        """Have a key for each stream and day, durably; one flush of each copy for all of them.

        Raises:
            OSError: The disk refuses; nothing may be sealed with a key that is not on it.
        """
        with self._guard:
            each_once = dict.fromkeys(wanted)
            missing = [each for each in each_once if not self._usable(each)]
            if missing:
                self._make(missing)
            self._wanted.update(self._newest[each] for each in each_once if each in self._newest)

    def wanted(self, key_id: bytes) -> bool:
        """Whether a key was asked for since the volume was opened: it may be about to seal."""
        return key_id in self._wanted

    def _make(self, missing: Sequence[tuple[str, int]]) -> None:
        free = (n for n in range(self._table.capacity) if n not in self._slots)
        made: dict[int, Slot] = {}
        fresh: dict[bytes, bytes] = {}
        for stream, day in missing:
            number = next(free, None)
            if number is None:
                self._tell_full()
                break
            secret = self._token(suite.SECRET_BYTES)
            key_id = id_of(secret)
            made[number] = self._wrapped(Slot(key_id, day, stream, b"", b""), secret)
            fresh[key_id] = secret
        self._table.write(made)
        for number, slot in made.items():
            self._know(number, slot)
        self._secrets |= fresh

    def current(self, stream: str, day: int) -> DayKey | None:
        """Return the key to seal with; the stream's newest if the table has no room for another."""
        with self._guard:
            key_id = self._newest.get((stream, day))
            if key_id is None or key_id not in self._secrets:
                key_id = self._last_resort(stream)
            return None if key_id is None else DayKey(key_id, self._cipher(key_id, self.suite_id))

    def cipher(self, key_id: bytes, suite_id: int) -> suite.Cipher:
        """Return what unseals the parts that name this key.

        Raises:
            Damaged: ``key.destroyed``.
            Unavailable: ``key.locked``, ``key.foreign``.
        """
        with self._guard:
            if key_id not in self._at:
                raise Damaged("key.destroyed", "the key of this recording was destroyed")
            return self._cipher(key_id, suite_id)

    def destroy(self, key_ids: Iterable[bytes]) -> None:
        """Wipe keys from both copies, durably; what they sealed can never be read again.

        Raises:
            OSError: The disk refuses; what is not wiped yet is still known.
        """
        with self._guard:
            numbers = [self._at[key_id] for key_id in key_ids if key_id in self._at]
            self._table.write(dict.fromkeys(numbers))
            for number in numbers:
                slot = self._slots.pop(number)
                del self._at[slot.key_id]
                self._secrets.pop(slot.key_id, None)
                self._ciphers = {
                    key: cipher for key, cipher in self._ciphers.items() if key[0] != slot.key_id
                }
                if self._newest.get((slot.stream, slot.day)) == slot.key_id:
                    del self._newest[slot.stream, slot.day]

    def trust(self, privates: Sequence[bytes]) -> None:
        """Unwrap with these root keys of the box from now on."""
        with self._guard:
            self._privates = tuple(privates)

    def wrap_anew(self, publics: Publics, privates: Sequence[bytes] = ()) -> int:
        """Wrap every key that can be unwrapped to other roots; returns how many could not be.

        Args:
            publics: From now on.
            privates: Unwrap them as well: the owner's recovery key, a new key of the box.

        Raises:
            OSError: The disk refuses; each key is readable by the old roots or the new ones.
        """
        with self._guard:
            known: dict[int, bytes] = {}
            for number, slot in self._slots.items():
                secret = self._secret(slot) or self._unwrap(slot, privates)
                if secret is not None:
                    known[number] = secret
            self._publics = publics
            changed = {n: self._wrapped(self._slots[n], secret) for n, secret in known.items()}
            self._table.write(changed, publics)
            self._slots |= changed
            self._secrets |= {self._slots[n].key_id: secret for n, secret in known.items()}
            return len(self._slots) - len(known)

    def _usable(self, wanted: tuple[str, int]) -> bool:
        key_id = self._newest.get(wanted)
        return key_id is not None and self._secret(self._slots[self._at[key_id]]) is not None

    def _last_resort(self, stream: str) -> bytes | None:
        known = [
            (slot.day, slot.key_id)
            for slot in self._slots.values()
            if slot.stream == stream and slot.key_id in self._secrets
        ]
        return max(known)[1] if known else None

    def _tell_full(self) -> None:
        if not self._told_full:
            self._told_full = True
            event(_log, logging.ERROR, "seal.table_full", keys=len(self._slots))

    def _secret(self, slot: Slot) -> bytes | None:
        secret = self._secrets.get(slot.key_id)
        if secret is None:
            secret = self._unwrap(slot, self._privates)
            if secret is not None:
                self._secrets[slot.key_id] = secret
        return secret

    def _cipher(self, key_id: bytes, suite_id: int) -> suite.Cipher:
        cipher = self._ciphers.get((key_id, suite_id))
        if cipher is None:
            secret = self._secret(self._slots[self._at[key_id]])
            if secret is None:
                if not self._privates:
                    raise Unavailable("key.locked", "the box's key is locked")
                raise Unavailable("key.foreign", "this was recorded by another box")
            cipher = self._ciphers[key_id, suite_id] = suite.cipher_for(suite_id, secret)
        return cipher

    @staticmethod
    def _unwrap(slot: Slot, privates: Iterable[bytes]) -> bytes | None:
        for private in privates:
            for wrapped in filter(None, (slot.for_box, slot.for_owner)):
                secret = root.unwrap(private, wrapped, slot.about)
                if secret is not None:
                    return secret
        return None

    def _wrapped(self, slot: Slot, secret: bytes) -> Slot:
        owner = self._publics.owner
        return replace(
            slot,
            for_box=root.wrap(self._publics.box, secret, slot.about),
            for_owner=root.wrap(owner, secret, slot.about) if owner else b"",
        )

    def _know(self, number: int, slot: Slot) -> None:
        self._slots[number] = slot
        self._at[slot.key_id] = number
        self._newest[slot.stream, slot.day] = slot.key_id


def reading(privates: Sequence[bytes]) -> Callable[[Disk, Identity], Keys | None]:
    """Return what opens a volume's keys to read with them; it gives None if there are none.

    Args:
        privates: Root keys to try: the box's, or the owner's recovery key.
    """

    def open_keys(disk: Disk, identity: Identity) -> Keys | None:
        if not present(disk):
            return None
        keys = Keys(KeyTable(disk, identity), Publics(b""), privates, suite.PLAIN)
        keys.load()
        return keys

    return open_keys


def unused(slots: Sequence[Slot], live: Mapping[str, int], today: int) -> list[Slot]:
    """Return the keys that seal nothing any more.

    Args:
        slots: All keys.
        live: For each stream with something recorded, the day of its oldest part.
        today: The day now. One more is kept, as the zone of the box may have changed.
    """
    return [slot for slot in slots if slot.day + 1 < min(today, live.get(slot.stream, today))]
