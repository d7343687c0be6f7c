"""Pictures of a source through the accelerator, some at a time, in a mode that may change between them; what the notebook shows."""

from dataclasses import dataclass
from typing import List, Optional, Union

import numpy as np

from board.deploy import Deploy
from board.driver import Accelerator
from board.energy import Power
from board.sources import CameraSource, FileSource

FRAMES = 16


@dataclass(frozen=True)
class Shown:
    """What some frames gave.

    Attributes:
        mode: of them.
        pictures: uint8 [N, height, width, colours]; predictions: int64 [N].
        frames_per_s: of the accelerator, loading and storing included; latency_ms: of a frame in it, mean.
        millijoule: of a frame, the whole board, modelled.
        accuracy: 0…1 of the labelled frames seen in this mode so far, or where none is labelled, of the build's test images; None: not known.
        counted: labelled frames behind `accuracy`; 0: it is the build's.
    """

    mode: str
    pictures: np.ndarray
    predictions: np.ndarray
    frames_per_s: float
    latency_ms: float
    millijoule: float
    accuracy: Optional[float]
    counted: int


class Live:
    """Args:
    deploy, accelerator: what runs.
    source: of the pictures.
    power: of the board, for the modelled energy.
    """

    def __init__(
        self, deploy: Deploy, accelerator: Accelerator, source: Union[FileSource, CameraSource], power: Optional[Power] = None
    ):
        self.deploy, self._accelerator, self.source = deploy, accelerator, source
        self._power = power or Power()
        self._seen = {name: np.zeros(2, np.int64) for name in deploy.modes}  # right, labelled

    @property
    def modes(self) -> List[str]:
        """Names of the modes, the costliest first."""
        return sorted(self.deploy.modes, key=lambda name: -self.deploy.modes[name].cycles)

    def step(self, mode: str, frames: int = FRAMES) -> Shown:
        """Runs the next frames of the source.

        Raises:
            BoardError: see Accelerator.run and the source.
        """
        pictures, labels = self.source.take(frames)
        chosen = self.deploy.modes[mode]
        batch = self._accelerator.run(pictures, [chosen] * frames)
        seconds = batch.cycles / (self.deploy.clock_mhz * 1e6)
        if labels is not None:
            known = labels >= 0
            self._seen[mode] += (int((batch.predictions == labels)[known].sum()), int(known.sum()))
        right, counted = (int(value) for value in self._seen[mode])
        return Shown(
            mode,
            pictures,
            batch.predictions,
            frames / seconds,
            float(batch.frame_cycles.mean()) / (self.deploy.clock_mhz * 1e3),
            1e3 * self._power.joules(seconds, float(batch.tiles.sum()), self.deploy.clock_mhz) / frames,
            right / counted if counted else chosen.accuracy,
            counted,
        )
