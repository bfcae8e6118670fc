"""What a visitor may ask of the app: numbers in their ranges, and so many seconds of work."""

import ctypes
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class _TimeIsUp(BaseException):
    """No `Exception`, which what is interrupted might catch and go on."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Ends what a block does after so many seconds, wherever it is: Python raises an error in its thread.

    A call into a library ends first; those that the app makes are short, since what goes in is bounded.

    Raises:
        TimeoutError: if the time is up.
    """
    thread, lock, done = threading.get_ident(), threading.Lock(), threading.Event()

    def watch() -> None:
        left = seconds
        while not done.wait(left):
            with lock:
                if not done.is_set():
                    _raise_in(thread, _TimeIsUp)
            left = 1.0  # where something has swallowed it

    threading.Thread(target=watch, daemon=True).start()
    try:
        try:
            yield
        finally:
            with lock:
                done.set()
            _raise_in(thread, None)  # what was asked for, but has not come yet
    except _TimeIsUp:
        done.set()
        raise TimeoutError(f"this took more than {seconds:g} seconds, and was ended; ask for less") from None


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    kind = None if error is None else ctypes.py_object(error)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), kind)


def number(name: str, value: Any, least: float, most: float, whole: bool = False) -> Any:
    """A number that a visitor gave. Raises `ValueError` for another, and for what is none."""
    fits = (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and least <= value <= most
    )
    if not fits or (whole and value != int(value)):
        found = "nothing" if value is None else repr(value)[:40]
        raise ValueError(f"{name} is a {'whole ' * whole}number from {least} to {most}, found {found}")
    return int(value) if whole else float(value)
