"""A known power over time, for the tests of meters: what a board might draw, and its energy."""

import os

import numpy as np


def power(t):
    """W at times t (s): 3.3 times a second from an idle board's to a running one's, with ripple of the regulators."""
    t = np.asarray(t, np.float64)
    return 1.58 + 0.35 * ((t * 3.3) % 1 < 0.6) + 0.04 * np.sin(2 * np.pi * 47 * t) + 0.01 * t / 10


def energy(begin, end):
    """J from begin to end, by a sum in steps of 10 µs."""
    t = np.arange(begin, end, 1e-5) + 5e-6
    return float(power(t).sum() * 1e-5)


class Hand:
    """A clock that goes only when somebody sleeps; `show` is told every new time.

    Args:
        until: time at which `stop` is called.
        jitter: of a sleep, as a share of it.
    """

    def __init__(self, show, until=11.0, stop=lambda: None, jitter=0.3, seed=1):
        self.now, self._show, self._until, self.stop = 0.0, show, until, stop
        self._random = np.random.default_rng(seed)
        self._jitter = jitter
        show(0.0)

    def clock(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds * (1 + self._jitter * self._random.random()) + 1e-5
        if self.now > self._until:
            self.stop()
        self._show(self.now)


def shown_in(path):
    """A function that writes a number into a file that is there already, at once, as the kernel's files change."""
    file = os.open(path, os.O_WRONLY)
    return lambda value: os.pwrite(file, f"{value}".ljust(20).encode() + b"\n", 0)
