"""The notebook's panel: a slider of modes, and what changes with it. Needs ipywidgets, which the images of PYNQ hold."""

import html
import io
from typing import Optional

import ipywidgets
import numpy as np
from PIL import Image

from board.errors import BoardError
from board.live import FRAMES, Live, Shown

TALLEST = 96  # pixels of a picture as shown
STYLE = "padding:4px 14px;text-align:right;font-variant-numeric:tabular-nums"


class Panel:
    """Args:
    live: what runs.
    frames: at a step.

    Attributes:
        mode: the slider; run: the button that runs the next frames; source, table, pictures: what is shown; said: the last error.
        view: all of it, to be displayed.
    """

    def __init__(self, live: Live, frames: int = FRAMES):
        self._live, self._frames = live, frames
        self._last = {}
        modes = live.modes
        self.mode = ipywidgets.SelectionSlider(options=modes, value=modes[0], description="mode", continuous_update=False)
        self.run = ipywidgets.Button(description="next frames", icon="play")
        self.table, self.said = ipywidgets.HTML(), ipywidgets.HTML()
        self.pictures = ipywidgets.HBox(layout=ipywidgets.Layout(flex_flow="row wrap"))
        self.view = ipywidgets.VBox([ipywidgets.HBox([self.mode, self.run]), self.table, self.pictures, self.said])
        self.mode.observe(lambda change: self.step(), names="value")
        self.run.on_click(lambda button: self.step())
        self.step()

    def step(self) -> Optional[Shown]:
        """Runs the next frames in the chosen mode and shows them; None where that failed, which is shown too."""
        try:
            shown = self._live.step(self.mode.value, self._frames)
        except BoardError as problem:
            self.said.value = f"<b>{html.escape(str(problem))}</b>"
            return None
        self.said.value = ""
        self._last[shown.mode] = shown
        self.table.value = self._table(shown.mode)
        classes = self._live.deploy.classes
        self.pictures.children = tuple(
            _captioned(picture, classes[number]) for picture, number in zip(shown.pictures, shown.predictions)
        )
        return shown

    def _table(self, current):
        """The modes that have run, the current one in bold."""
        names = ("mode", "frames/s", "ms a frame", "mJ a frame, modelled", "accuracy")
        rows = ["".join(f"<th style='{STYLE}'>{name}</th>" for name in names)]
        for mode in self._live.modes:
            shown = self._last.get(mode)
            cells = [html.escape(mode), *(["–"] * 4 if shown is None else _figures(shown))]
            weight = "bold" if mode == current else "normal"
            rows.append("".join(f"<td style='{STYLE};font-weight:{weight}'>{cell}</td>" for cell in cells))
        return f"<table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def _figures(shown):
    known = "–" if shown.accuracy is None else f"{100 * shown.accuracy:.2f} %"
    known += f" of {shown.counted:,} frames" if shown.counted else ""
    return [f"{shown.frames_per_s:,.0f}", f"{shown.latency_ms:.3f}", f"{shown.millijoule:.4f}", known]


def _captioned(picture, name):
    scale = max(1, TALLEST // picture.shape[0])
    picture = np.repeat(np.repeat(picture, scale, 0), scale, 1)
    file = io.BytesIO()
    Image.fromarray(picture[..., 0] if picture.shape[2] != 3 else picture).save(file, "PNG")
    return ipywidgets.VBox([ipywidgets.Image(value=file.getvalue(), format="png"), ipywidgets.Label(name)])
