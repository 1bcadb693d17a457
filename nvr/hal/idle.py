"""A thread whose reads wait until nobody else wants the disk.

The class is set for one thread. Schedulers that know it (BFQ; mq-deadline from Linux 5.16 on) keep
it; with ``none``, usual for NVMe, it changes nothing, so whoever asks for it limits itself as well.

Source: ioprio_set(2); Linux 6.1 ``include/uapi/linux/ioprio.h``, system call tables.
"""

import ctypes
import platform

_CALLS = {"x86_64": 251, "aarch64": 30, "riscv64": 30, "armv7l": 314, "armv6l": 314, "i686": 289}
_THIS_THREAD = 1, 0
_IDLE = 3 << 13


def give_way() -> bool:
    """Let the calling thread's reads and writes go after everybody else's.

    Returns:
        Whether the kernel took it.
    """
    number = _CALLS.get(platform.machine())
    if number is None or (ctypes.sizeof(ctypes.c_void_p) == 4 and number < 200):
        return False  # a 32-bit program on a 64-bit kernel has other numbers
    return bool(ctypes.CDLL(None).syscall(number, *_THIS_THREAD, _IDLE) == 0)
