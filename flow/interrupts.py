"""Ctrl-C and SIGTERM: KeyboardInterrupt, but not in the middle of an import.

A library that is interrupted while it is loaded is left half loaded, and what imports it next fails in ways of its own, or takes the
interrupt for a library that is not there and goes on without.
"""

import _thread
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

PATIENCE = 5.0
"""Seconds that an interrupt waits for an import at most: a network's own file may do anything when it is loaded."""
AGAIN = 0.02
"""Seconds until it is looked at again."""


def importing(frame: FrameType | None) -> bool:
    """Whether a frame, or one that it was called by, is the import system's."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM ends what runs here as Ctrl-C does, so that temporary folders go and no compiler is left behind; both wait until what is
    being imported is whole. In the main thread alone; signals that are ignored, or somebody's own, stay so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    main, end, waits = threading.get_ident(), None, False
    left = threading.Event()

    def again(number: int) -> None:
        """Send the signal once nothing is imported; from a thread, since a timer's signals would break off what libraries wait for."""
        nonlocal waits
        while importing(sys._current_frames().get(main)) and time.monotonic() < end:
            time.sleep(AGAIN)
        waits = False
        if not left.is_set():
            signal.pthread_kill(main, number)

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal end, waits
        if waits:  # for the import, because of a signal before this one
            return
        end = end or time.monotonic() + PATIENCE
        if importing(frame) and time.monotonic() < end:
            waits = True
            _thread.start_new_thread(again, (number,))
            return
        end = None
        raise KeyboardInterrupt

    mine = [number for number, handler in usual.items() if signal.getsignal(number) is handler]
    for number in mine:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        left.set()
        for number in mine:
            signal.signal(number, usual[number])
