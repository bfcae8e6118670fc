"""What a visitor may ask of the app: numbers in their ranges, and so many seconds of work."""

import contextvars
import ctypes
import threading
from collections.abc import Callable
from typing import Any


class _TimeIsUp(BaseException):
    """No `Exception`, which what is interrupted might catch and go on."""


def within(seconds: float, function: Callable[[], Any]) -> Any:
    """What `function` returns, or raises, in a thread of its own, which ends after so many seconds.

    Python raises an error in that thread, wherever it is, again and again until it has ended. A call into a library
    ends first; those that the app makes are short, since what goes in is bounded.

    Raises:
        TimeoutError: if the time is up.
    """
    done, lock, outcome = threading.Event(), threading.Lock(), {}

    def work() -> None:
        try:
            outcome["value"] = function()
        except BaseException as error:
            outcome["error"] = error
        with lock:
            done.set()

    context = contextvars.copy_context()  # where Gradio keeps whose call this is
    thread = threading.Thread(target=context.run, args=(work,), daemon=True)
    thread.start()
    left = seconds
    while thread.is_alive() and not done.wait(left):
        with lock:  # not after it is done: another thread may have its number then
            if thread.is_alive() and not done.is_set() and thread.ident is not None:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(_TimeIsUp))
        left = 0.5  # what collects garbage may have swallowed it
    error = outcome.get("error")
    if "value" not in outcome and (error is None or isinstance(error, _TimeIsUp)):
        raise TimeoutError(f"this took more than {seconds:g} seconds, and was ended; ask for less")
    if error is not None:
        raise error
    return outcome["value"]


def number(name: str, value: Any, least: float, most: float, whole: bool = False) -> Any:
    """A number that a visitor gave. Raises `ValueError` for another, and for what is none."""
    fits = isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most  # no NaN does
    if not fits or (whole and value != int(value)):
        found = "nothing" if value is None else repr(value)[:40]
        raise ValueError(f"{name} is a {'whole ' * whole}number from {least} to {most}, found {found}")
    return int(value) if whole else float(value)
