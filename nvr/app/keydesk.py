"""What people do with the archive's keys: look, make a recovery key, change, adopt, destroy."""

import asyncio
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Protocol

from nvr.app.keyring import Keyring
from nvr.base.clock import Clock
from nvr.base.errors import NvrError, Rejected, Unavailable
from nvr.media.name import camera_of
from nvr.record.destroy import destroy
from nvr.record.key_table import Slot
from nvr.record.keys import day_of
from nvr.record.lock import Lock
from nvr.record.store import Store
from nvr.seal import root, suite
from nvr.seal.tpm import TpmLock
from nvr.web.parts import Adopted, KeyState, Recovery

LEAST_PASSPHRASE = 8
RETRY_S = 15.0
_MAY_PASS = {"tpm.missing", "tpm.failed"}
"""A driver that loads late, a bus that is busy: what is worth another try without a person."""


class KeyDesk:
    """The keys of a box and of its volumes; calls block on the disk.

    Args:
        keyring: The box's own.
        stores: The volumes that are there; told to, it raises what is wrong with one that is not.
        clock: Time source.
        seals: What is recorded now is sealed.
    """

    def __init__(self, keyring: Keyring, stores: "Stores", clock: Clock, *, seals: bool) -> None:
        self._ring = keyring
        self._stores = stores
        self._clock = clock
        self._seals = seals

    def state(self) -> KeyState:
        """Return how the archive is sealed.

        Raises:
            NvrError: There is no volume.
        """
        tables = [store.keys for store in self._stores(every=False) if store.keys]
        slots = sorted((slot for keys in tables for slot in keys.slots()), key=lambda one: one.day)
        return KeyState(
            seals=self._seals,
            passphrase=self._ring.has_passphrase,
            tpm=self._ring.has_tpm,
            pcrs=self._ring.pcrs,
            refused=self._ring.refused,
            locked=self._ring.locked,
            suite=suite.NAMES[tables[0].suite_id] if tables else "",
            box=root.fingerprint(self._ring.publics.box),
            owner=root.fingerprint(self._ring.owner) if self._ring.owner else "",
            signs=root.fingerprint(self._ring.signer.public),
            keys=len(slots),
            foreign=sum(keys.unusable() for keys in tables),
            days=(slots[0].day, slots[-1].day) if slots else None,
        )

    def new_recovery(self) -> Recovery:
        """Make a recovery key and wrap everything to it as well; an older one ends with that.

        Raises:
            NvrError: There is no volume, or it or the data directory cannot be written.
        """
        stores = self._stores(every=True)
        private = root.new()
        public = root.public_of(private)
        self._ring.set_owner(public)
        lost = self._wrap(stores, ())
        return Recovery(root.to_words(private), root.fingerprint(public), lost)

    def unlock(self, passphrase: str) -> None:
        """Unlock the box's key for as long as the recorder runs; a TPM needs no passphrase.

        Raises:
            Rejected: ``key.passphrase``.
            NvrError: What the TPM says. There is no volume.
        """
        self._ring.unlock(passphrase)
        self._trust(self._stores(every=False))

    async def run(self) -> None:
        """Ask the TPM again while it may only be late; one that gives the key out is believed."""
        while (refused := self._ring.refused) is not None:
            if refused.code not in _MAY_PASS:
                return
            await self._clock.sleep(RETRY_S)
            with suppress(NvrError):
                await asyncio.to_thread(self._ring.unlock, "")
        with suppress(NvrError):  # a volume that comes later is opened with the key
            self._trust(self._stores(every=False))

    def _trust(self, stores: Sequence[Store]) -> None:
        for store in stores:
            if store.keys:
                store.keys.trust(self._ring.privates)

    def set_passphrase(self, passphrase: str) -> None:
        """Have the box's key locked at each start; an empty passphrase ends that.

        Raises:
            Rejected: ``key.passphrase``: it is too short.
            Unavailable: ``key.locked``. ``config.unwritable``.
        """
        if 0 < len(passphrase) < LEAST_PASSPHRASE:
            raise Rejected("key.passphrase", f"it needs at least {LEAST_PASSPHRASE} characters")
        self._ring.set_passphrase(passphrase)

    def bind_tpm(self, pcrs: Collection[int]) -> int:
        """Keep the box's key under its TPM from now on; takes seconds.

        It is a new key: the old one may still be found on the disk where it lay in a file.

        Args:
            pcrs: What of the start the TPM looks at before it gives the key out; may be empty.

        Returns:
            How many day keys only the old key could have used; it is then kept as well.

        Raises:
            Unavailable: ``key.locked``, ``tpm.missing``, ``tpm.failed``, ``tpm.owned``.
            Rejected: ``tpm.pcr``, ``tpm.unmeasured``.
            NvrError: There is no volume, or it or the data directory cannot be written.
        """
        self._ring.must_be_open()
        self._stores(every=True)
        return self._renew(self._ring.tpm_lock(pcrs))

    def change_box_key(self) -> int:
        """Make a new key of the box; returns how many day keys only the old one could have used.

        Raises:
            Unavailable: ``key.locked``.
            NvrError: There is no volume, or it or the data directory cannot be written.
        """
        self._ring.must_be_open()
        return self._renew(None)

    def _renew(self, lock: TpmLock | None) -> int:
        stores = self._stores(every=True)
        before = _unusable(stores)
        self._ring.add_box_key(lock)
        lost = self._wrap(stores, self._ring.privates)
        if lost == before:
            self._ring.drop_old()
        return lost - before

    def adopt(self, words: str) -> Adopted:
        """Take over what another box sealed, by its recovery key.

        A box that is locked and is given its own recovery key gets a new key, in a file: its
        passphrase was forgotten, or its TPM is gone.

        Raises:
            Rejected: ``key.mistyped``, ``key.wrong``: it fits none of them.
            NvrError: There is no volume, or it cannot be written.
        """
        private = root.from_words(words)
        stores = self._stores(every=False)
        own = self._ring.locked and root.public_of(private) == self._ring.owner
        if own:
            self._ring.start_anew()
            self._trust(stores)
        else:
            _must(stores)
        before = _unusable(stores)
        left = self._wrap(stores, [private])
        if before and left == before and not own:
            raise Rejected("key.wrong", "this recovery key fits none of the keys on the volume")
        return Adopted(left, own)

    def destroy(self, camera: str, days: tuple[int, int], by: str, why: str) -> list[Slot]:
        """Destroy for good what was sealed of a camera on some days, both included.

        Raises:
            Rejected: ``key.nothing``: nothing sealed is left of it. ``key.held``: a lock keeps
                something of it.
            NvrError: There is no volume, or it cannot be written.
        """
        stores = [store for store in self._stores(every=True) if store.keys]
        _must(stores)
        chosen = {
            n: [
                slot
                for slot in store.keys.slots()
                if camera_of(slot.stream) == camera and days[0] <= slot.day <= days[1]
            ]
            for n, store in enumerate(stores)
            if store.keys
        }
        if not any(chosen.values()):
            raise Rejected("key.nothing", "nothing is sealed of this camera on these days")
        locks = (one for store in stores for one in store.ring.locks)
        holding = next((one for one in locks if _holds(one, camera, days)), None)
        if holding is not None:
            raise Rejected(
                "key.held", "a lock keeps recordings of these days", number=holding.number
            )
        for n, store in enumerate(stores):
            try:
                if store.keys and chosen[n]:
                    destroy(
                        store.ring, store.keys, chosen[n],
                        by=by, why=why, clock=self._clock, signer=self._ring.signer,
                    )  # fmt: skip
            except OSError as err:
                raise _unwritable(err) from err
        return [slot for each in chosen.values() for slot in each]

    def _wrap(self, stores: Sequence[Store], privates: "tuple[()] | list[bytes]") -> int:
        lost = 0
        for store in stores:
            try:
                if store.keys:
                    lost += store.keys.wrap_anew(self._ring.publics, privates)
            except OSError as err:
                raise _unwritable(err) from err
        return lost


class Stores(Protocol):
    """Gives the volumes that are there; told so, raises what is wrong with one that is not."""

    def __call__(self, *, every: bool) -> Sequence[Store]:
        """Return them."""
        ...


def _unusable(stores: Sequence[Store]) -> int:
    return sum(store.keys.unusable() for store in stores if store.keys)


def _must(stores: Sequence[Store]) -> None:
    if not any(store.keys for store in stores):
        raise Rejected("key.nothing", "nothing on this volume is sealed")


def _holds(lock: Lock, camera: str, days: tuple[int, int]) -> bool:
    first, last = day_of(min(lock.key_us, lock.from_us)), day_of(lock.to_us)
    return lock.camera == camera and first <= days[1] and last >= days[0]


def _unwritable(err: OSError) -> Unavailable:
    return Unavailable("volume.unwritable", f"the volume cannot be changed: {err}")
