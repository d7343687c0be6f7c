"""From the report's figures to one HTML file that opens from disk: no script, no request, no file beside it."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2

from flow.atomic import write_text
from flow.page.charts import STYLE, Point, heat, scatter
from flow.synth.report import COMFORT, LABELS

if TYPE_CHECKING:
    from flow.measurements.tables import Table
    from flow.pictures.measure import Setting, Skips

TEMPLATE = Path(__file__).with_name("page.html")
PARAMETERS = {
    "P": "output pixels a cycle",
    "PE": "output channels a cycle",
    "R": "requantisers",
    "MULT_DSP": "pixel pairs multiplied in DSP blocks, the others in LUTs",
    "WEIGHT_DEPTH": "words of the weight memory",
    "REQUANT_DEPTH": "words of the requantisation memory",
    "LAYERS": "descriptors a mode",
    "MODES": "modes",
}
PATHS = 20


def write(
    path: Path,
    report: dict[str, Any],
    command: Sequence[str],
    settings: Sequence["Setting"] = (),
    skips: "Skips | None" = None,
    images: int = 0,
    energy: Sequence["Table"] = (),
) -> None:
    """Write the page.

    Args:
        path: the file.
        report: what `flow.synth.report.contents` returns.
        command: words of the command that made it.
        settings: measured accuracy and costs on `images` test images; skips: of a network with gates, on the same.
        energy: tables of a log of measurements.

    Raises:
        GatefoldError: the file cannot be written.
    """
    shown, drawn = _energy(energy)
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["figure"] = lambda value, form="{:,}": "–" if value is None else form.format(value)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    write_text(
        path,
        template.render(
            report=report,
            command=shlex.join(command),
            style=STYLE,
            labels=LABELS,
            comfort=COMFORT,
            parameters=[
                (name, report["parameters"][name], text) for name, text in PARAMETERS.items() if name in report["parameters"]
            ],
            layers=_layers(report),
            fronts=_fronts(report, settings, images),
            skips=_skips(skips),
            images=images,
            paths=PATHS,
            energy=shown,
            energy_charts=drawn,
        ),
    )


def _layers(report):
    """[(layer, [None, or (cycles, whether simulated, share of the frame) for each mode])], in the order of the network."""
    modes = list(report["modes"].values())
    rows = []
    for layer in max((mode["layers"] for mode in modes), key=len):
        cells = []
        for mode in modes:
            if layer not in mode["layers"]:
                cells.append(None)
                continue
            seen = mode["layers_rtl"].get(layer)
            cycles = mode["layers"][layer] if seen is None else seen
            cells.append((cycles, seen is not None, cycles / (mode["cycles_rtl"] or mode["cycles_model"])))
        rows.append((layer, cells))
    return rows


def _fronts(report, settings, images):
    """[(title, chart)] of accuracy against cost."""
    known = [
        Point(mode["cycles_rtl"] or mode["cycles_model"], mode["accuracy"], name)
        for name, mode in report["modes"].items()
        if mode["accuracy"] is not None
    ]
    charts = []
    if known:
        charts.append(("Modes, accuracy of the weights' record", scatter(known, "cycles of a frame")))
    for unit, label in (("macs", "multiply-accumulates of an image, mean"), ("cycles", "cycles of an image, mean, by the formula")):
        found = [Point(setting.costs[unit], setting.accuracy, setting.name) for setting in settings]
        if found:
            charts.append((f"Modes, gates and exits on {images} test images", scatter(found, label)))
    return charts


def _skips(skips):
    """Charts of what is skipped: [(title, chart)]."""
    if skips is None or not skips.layers:
        return []
    charts = [
        (
            "Share of the images in which a channel, or the layer, is skipped: white never, blue always",
            heat(list(skips.channels.items()), "skipped", "decision"),
        )
    ]
    if skips.classes:
        charts.append(("Skip ratio of a layer by class", heat(list(skips.classes.items()), "skipped", "class")))
    return charts


def _energy(tables):
    """([(title, tables of cells, notes)], [(title, chart)])."""
    from flow.measurements.plots import charts
    from flow.measurements.tables import details, overview

    shown = [(table.title, [overview(table), details(table)], table.notes) for table in tables]
    return shown, [(title, chart) for _, title, chart in charts(tables)]
