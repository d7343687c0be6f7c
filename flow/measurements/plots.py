"""Charts in the layout of WeNet's figure 6: accuracy against inference time, and against energy, one line a network."""

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from flow.atomic import make_folder, write_text
from flow.measurements.log import KINDS
from flow.measurements.tables import Table, markdown, to_csv
from flow.page.charts import Point, scatter, write_file


def charts(found: Sequence[Table]) -> list[tuple[str, str, Markup]]:
    """(name, title, chart): of the time, and of each kind of energy. Settings without accuracy are left out."""
    names = [f"{table.rows[0].any.network}, {table.rows[0].any.board}" for table in found]
    time, energy = [], {kind: [] for kind in KINDS}
    for series, table in enumerate(found):
        for row in table.rows:
            if row.any.accuracy is None:
                continue
            if row.any.latency is not None:
                time.append(Point(row.any.latency, row.any.accuracy, row.setting, series))
            for kind, result in row.results.items():
                energy[kind].append(Point(result.millijoule, row.any.accuracy, row.setting, series))
    drawn = [("time", "Accuracy against inference time", "time of an inference, ms", time)]
    drawn += [(kind, f"Accuracy against energy, {kind}", f"energy of an inference, mJ, {kind}", energy[kind]) for kind in KINDS]
    return [(name, title, scatter(points, label, names)) for name, title, label, points in drawn if points]


def write(found: Sequence[Table], folder: Path) -> list[Path]:
    """Write energy.md, energy.csv and the charts into a folder, which is made if need be; returns the paths."""
    make_folder(folder)
    texts = {"energy.md": markdown(found), "energy.csv": to_csv(found)}
    for name, text in texts.items():
        write_text(folder / name, text)
    drawn = charts(found)
    for name, _, chart in drawn:
        write_file(folder / f"{name}.svg", chart)
    return [folder / name for name in (*texts, *(f"{name}.svg" for name, *_ in drawn))]
