"""What training and the commands ask of the C library on a CPU: keep memory that was freed."""

import ctypes
import platform


# Parameters of mallopt(3), as malloc.h numbers them.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4


def keep_freed_memory() -> None:
    """Tells glibc not to give freed memory back to the system, for the life of the process.

    A step of training or sampling frees and allocates the same hundreds of megabytes again and again. By default glibc
    gives large blocks back at once, and the system hands them out again zeroed, a page fault for each four kilobytes.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    for parameter, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 1 << 30), (M_TOP_PAD, 1 << 28)):
        libc.mallopt(parameter, value)
