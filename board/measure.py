"""Energy of every setting: windows in random order, with idle windows between them, in a log that no crash can hurt.

A measurement is a session of the log. Its order is drawn once, in rounds of all settings, so that slow drift (of temperature, of the
supply) meets all of them alike; the idle windows on both sides of a window tell how far the board's idle power had drifted there. Every
window is logged when it is over. Where the program ends early, the same command goes on with the windows that are missing.
"""

import itertools
import os
import random
import time
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Callable, Dict, Iterator, List, Optional, Sequence, Union

import numpy as np

from board.clocks import BoardTime, SimulatedTime
from board.deploy import Deploy
from board.driver import Accelerator
from board.energy_log import EnergyLog
from board.errors import BoardError
from board.images import Images
from board.meters.meter import Meter
from board.meters.trace import Energy, Unusable, metered, modelled
from board.setting import Setting, build_accuracy
from board.summary import result_of

IDLE = -1  # in the place of a setting
IDLE_SHARE = 0.5  # of a window's seconds, for which an idle window lasts
LEAD_SECONDS = 0.5  # of the setting's frames before its window, so that regulators and averages have settled
TRIES = 3  # of a window that the meter did not see well


@dataclass(frozen=True)
class Plan:
    """How a measurement goes.

    Attributes:
        seconds: of a window, at least; on the simulated board also seconds of ours, for its own are a thousand times slower.
        windows: of each setting.
        batch: frames per start of the accelerator.
        timeout: see board.driver.
        labelled: whether the images' labels give the accuracy; else it is the build's.
        images: which they are.
    """

    seconds: float
    windows: int
    batch: int
    timeout: float
    labelled: bool
    images: str


def draw_order(settings: int, windows: int, seed: int) -> List[int]:
    """Settings in random order, once in each of `windows` rounds, with an idle window before each and one behind the last."""
    shuffle, order = random.Random(seed), [IDLE]
    for _ in range(windows):
        turn = list(range(settings))
        shuffle.shuffle(turn)
        for setting in turn:
            order += [setting, IDLE]
    return order


class Measurement:
    """A measurement, begun or gone on with.

    Args:
        about: what is alike in the log's results: network, build, ... ambient_c.
        say: is called with a line of progress.
        temperature: gives the chip's, in °C, or None.
        mark: is called with True and False where a window begins and ends.
    """

    def __init__(
        self,
        deploy: Deploy,
        accelerator: Accelerator,
        meter: Meter,
        settings: Sequence[Setting],
        images: Images,
        log: EnergyLog,
        plan: Plan,
        about: dict,
        clock: Union[BoardTime, SimulatedTime],
        say: Callable[[str], None] = lambda line: None,
        temperature: Callable[[], Optional[float]] = lambda: None,
        mark: Callable[[bool], None] = lambda begins: None,
    ):
        self._deploy, self._accelerator, self._meter, self._images = deploy, accelerator, meter, images
        self._settings, self._log, self._plan, self._clock = settings, log, plan, clock
        self._say, self._temperature, self._mark = say, temperature, mark
        self._pixels: Dict[int, Iterator[np.ndarray]] = {}
        self._seen: Dict[int, int] = {}
        known = [None if plan.labelled else build_accuracy(setting) for setting in settings]
        records = [{**setting.record, "accuracy": accuracy} for setting, accuracy in zip(settings, known)]
        fixed = {
            **about,
            "whole_tiles": deploy.all_tiles([next(iter(deploy.modes.values()))]),
            "plan": {key: value for key, value in asdict(plan).items() if key != "timeout"},
            "settings": records,
        }
        begun = [one for one in log.records if one["record"] == "session" and {key: one.get(key) for key in fixed} == fixed]
        ended = {one["session"] for one in log.records if one["record"] == "end"}
        open_ones = [one for one in begun if one["session"] not in ended]
        self._about = about
        if open_ones:
            self._session = open_ones[-1]
        else:
            seed = random.SystemRandom().getrandbits(32)
            self._session = {**fixed, "seed": seed, "order": draw_order(len(settings), plan.windows, seed)}
            self._session["session"] = os.urandom(8).hex()
            self._append("session", self._session)
        mine = [one for one in log.records if one.get("session") == self._session["session"]]
        self._done = {one["number"]: one for one in mine if one["record"] == "window"}
        self._results = [one for one in mine if one["record"] == "result"]

    @property
    def session(self) -> str:
        """Its number in the log."""
        return self._session["session"]

    @property
    def resumed(self) -> int:
        """Windows of an earlier run of the program that count."""
        return len(self._done)

    def run(self) -> List[dict]:
        """Measures what is missing; returns the records `result`, a setting each, or none yet where the meter records by itself.

        Raises:
            BoardError: the meter or the accelerator fails; all windows that were over are in the log.
        """
        left = [number for number, _ in enumerate(self._session["order"]) if number not in self._done]
        if left:
            self._meter.start()
            try:
                self._warm_up(next(setting for setting in self._session["order"] if setting != IDLE))
                for number in left:
                    self._done[number] = self._append("window", self._tried(number))
            except BoardError as problem:
                self._append("problem", {"said": str(problem)})
                raise
            finally:
                self._meter.stop()
        if self._meter.records:
            return []
        whole = self._session["whole_tiles"]
        for setting in range(len(self._results), len(self._settings)):
            summary = result_of(setting, self._done, self._session["settings"], whole)
            self._results.append(self._append("result", {**self._about, **summary}))
        self._append("end", {})
        return self._results

    def _append(self, record, contents):
        now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        return self._log.append({"record": record, "session": self._session["session"], "time": now, **contents})

    def _tried(self, number):
        """The record of a window, repeated where the meter did not see it well."""
        setting = self._session["order"][number]
        problems: List[str] = []
        while True:
            name = "idle" if setting == IDLE else self._settings[setting].name
            self._say(f"window {number + 1} of {len(self._session['order'])}: {name}")
            try:
                return self._window(number, setting, problems)
            except Unusable as problem:
                said = f"{self._meter.name} cannot be used for window {number + 1}: {problem}"
                if len(problems) + 1 == TRIES:
                    raise BoardError(
                        f"{said}, {TRIES} times; check the meter and its wiring, and type the same command again: it goes on where this ends."
                    ) from None
                self._append("problem", {"said": f"{said}; it is repeated"})
                problems.append(f"window {number + 1} was repeated ({problem})")

    def _window(self, number, setting, problems):
        clock, meter = self._clock, self._meter
        latency = None if setting == IDLE else self._lead(setting)
        meter.samples()  # those from before are of no use, but for the last
        self._pause()
        self._mark(True)
        begin = clock.now()
        if setting == IDLE:
            counted = dict.fromkeys(("frames", "cycles", "tiles", "right", "labelled"), 0)
            clock.wait(self._plan.seconds * IDLE_SHARE)
        else:
            counted = self._frames(setting, begin)
        end = clock.now()
        self._mark(False)
        temperature = self._temperature()
        self._pause()
        times, watts = meter.samples()
        energy = self._energy(times, watts, begin, end)
        return {
            "number": number,
            "setting": setting,
            "begin_s": begin,
            "seconds": end - begin,
            "joules": energy.joules,
            **counted,
            "latency_ms": latency,
            "temperature_c": temperature,
            "samples": energy.samples,
            "samples_per_s": energy.samples_per_s,
            "sampling_error": energy.sampling_error,
            "problems": problems + list(energy.problems),
        }

    def _energy(self, times, watts, begin, end):
        if self._meter.records:
            return Energy(None, None, None, None)
        if self._meter.kind == "modelled":
            return modelled(times, watts, begin, end)
        return metered(times, watts, begin, end, self._meter.step_w)

    def _pause(self):
        """Until a sample more has come."""
        if self._meter.interval_s:
            self._clock.wait(3 * self._meter.interval_s)

    def _frames(self, setting, begin):
        """Runs frames for a window's time; returns what they came to."""
        clock, plan, order = self._clock, self._plan, self._settings[setting].order
        began = time.monotonic()

        def until_over():
            while clock.now() - begin < plan.seconds and not (clock.simulated and time.monotonic() - began >= plan.seconds):
                yield self._next_pixels(setting)

        counted = dict.fromkeys(("frames", "cycles", "tiles", "right", "labelled"), 0)
        at = begin
        for batch in self._accelerator.stream(until_over(), order, plan.timeout):
            clock.ran(batch.cycles)
            tiles = int(batch.tiles.sum())
            self._meter.ran(at, clock.now(), tiles)
            at = clock.now()
            right, labelled = self._judge(setting, batch.predictions)
            numbers = (len(batch.predictions), int(batch.frame_cycles.sum()), tiles, right, labelled)
            for key, number in zip(counted, numbers):
                counted[key] += number
        return counted

    def _warm_up(self, setting):
        """Runs frames as long as a window lasts, so that the chip is as warm as it will be."""
        self._say("warm-up")
        if not self._clock.simulated:
            self._frames(setting, self._clock.now())

    def _lead(self, setting):
        """Runs frames one by one before a window; returns their mean latency in ms."""
        seconds = 0.0 if self._clock.simulated else min(LEAD_SECONDS, self._plan.seconds / 10)
        clock, order = self._clock, self._settings[setting].order(1)
        begin, count = clock.now(), 0
        pixels = next(self._images.batches([1]))
        while not count or clock.now() - begin < seconds:
            batch = self._accelerator.run(pixels, order.modes, self._plan.timeout, order.thresholds, order.forced, order.halting)
            clock.ran(batch.cycles)
            count += 1
        return 1e3 * (clock.now() - begin) / count

    def _next_pixels(self, setting):
        """The next images, for each setting the same in the same order."""
        if setting not in self._pixels:
            self._pixels[setting] = self._images.batches(itertools.repeat(self._plan.batch))
        return next(self._pixels[setting])

    def _judge(self, setting, predictions):
        """(right, labelled) predictions of a batch."""
        first = self._seen.get(setting, 0)
        self._seen[setting] = first + len(predictions)
        if not self._plan.labelled:
            return 0, 0
        labels = self._images.labels[(first + np.arange(len(predictions))) % len(self._images.labels)]
        return int((predictions == labels).sum()), int((labels >= 0).sum())
