"""The page holds the report's figures, whole, well-formed and by itself; a browser shows it without an error."""

import html.parser
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from flow.cli import main
from flow.data import load
from flow.models import create, initialise
from flow.page.charts import FONT, HEIGHT, Point, scatter
from flow.pictures.measure import skips
from flow.training.checkpoint import save_model

VOID = {"meta", "link", "br"}


class Page(html.parser.HTMLParser):
    """Checks that every element is closed in order; collects attributes, text of cells and tooltips."""

    def __init__(self, text):
        super().__init__()
        self.open, self.attributes, self.cells, self.titles, self.ids = [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.attributes += attributes
        self.ids += [value for name, value in attributes if name == "id"]
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")
        if tag == "title":
            self.titles.append("")

    def handle_startendtag(self, tag, attributes):
        self.attributes += attributes

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if {"td", "th"} & set(self.open):
            self.cells[-1] += data
        if self.open and self.open[-1] == "title":
            self.titles[-1] += data


def check_alone(text):
    """Nothing in it makes a browser ask for another file."""
    page = Page(text)
    for name, value in page.attributes:
        if name in ("src", "href", "srcset", "data", "action", "poster", "background"):
            assert value.startswith(("#", "data:")), (name, value)
    assert "<script" not in text and "@import" not in text and "url(" not in text
    assert len(set(page.ids)) == len(page.ids)
    assert {value[1:] for name, value in page.attributes if name == "href" and value[0] == "#"} <= set(page.ids)
    return page


@pytest.fixture(scope="module")
def gated(tmp_path_factory):
    """(page's text, its report, network, images, labels) of a network with gates and exits, on twelve images."""
    folder = tmp_path_factory.mktemp("page")
    model = initialise(create("resnet8", gates="acs", exits=True), seed=0)
    for name, bias in model.gates.named_parameters():
        if name.endswith("linear.bias"):
            bias.data.uniform_(-1.0, 1.0)
    save_model(model, folder / "weights.safetensors", {"accuracy": {"full": 0.5}})
    data = load("digits")
    images, labels = data.test_x[:12], data.test_y[:12]
    np.savez(folder / "own.npz", x=images, y=labels)
    options = ["--no-synthesis", "--json", "--checkpoint", str(folder / "weights.safetensors"), "--data", str(folder / "own.npz")]
    with pytest.MonkeyPatch.context() as patch:
        printed = []
        patch.setattr("builtins.print", lambda text, **_: printed.append(text))
        assert main(["report", "resnet8", *options, "--html", str(folder / "page.html")]) == 0
    return folder / "page.html", json.loads("".join(printed)), model.eval(), images, labels


def test_every_figure_of_the_report_is_on_the_page(gated):
    path, report, *_ = gated
    page = check_alone(path.read_text())
    for name, mode in report["modes"].items():
        at = page.cells.index(name, page.cells.index("cycles, formula"))
        assert page.cells[at + 1 : at + 4] == [f"{mode['cycles_model']:,}", "–", f"{mode['frames_per_s']:,.0f}"]
        assert all(f"{cycles:,}" in page.cells for cycles in mode["layers"].values())
        assert all(f"{exit['cycles_model']:,}" in page.cells for exit in mode["exits"])
    for gate, worth in report["modes"]["full"]["gates"].items():
        at = page.cells.index(gate, page.cells.index("saves"))
        assert page.cells[at + 1 : at + 3] == [f"{worth['own']:,}", f"{worth['saves']:,}"]
    assert any(title.startswith("full: ") and title.endswith("50.00 %") for title in page.titles)


def test_heat_maps_are_what_the_gates_decided(gated):
    path, _, model, images, labels = gated
    titles = check_alone(path.read_text()).titles
    found = skips(model, images, labels)
    for name, shares in found.channels.items():
        assert shares.mean() == pytest.approx(found.layers[name])
        assert all(f"{name}, decision {at}: {share:.1%} skipped" in titles for at, share in enumerate(shares))
    for name, shares in found.classes.items():
        counts = np.unique(labels, return_counts=True)[1]
        assert (shares * counts).sum() / counts.sum() == pytest.approx(found.layers[name])
        assert all(f"{name}, class {at}: {share:.1%} skipped" in titles for at, share in enumerate(shares))


@pytest.mark.parametrize("most", [0.3, 97, 15_000, 140_000, 7_700_000, 99_000_000])
def test_labels_of_an_axis_stand_apart(most):
    text = scatter([Point(most / 5, 0.5, "a"), Point(most, 0.7, "b")], "cost")
    labels = [
        (float(x), label)
        for x, y, label in re.findall(r'<text x="([\d.]+)" y="(\d+)" text-anchor="middle">([^<]+)<', text)
        if int(y) < HEIGHT - 10
    ]
    widths = [FONT * len(label) for _, label in labels]
    for (left, _), (right, _), first, second in zip(labels, labels[1:], widths, widths[1:]):
        assert left + first / 2 + FONT < right - second / 2, labels
    assert len(labels) >= 4


def test_names_are_text(gated, tmp_path):
    """Whatever a name holds, it is shown and not run."""
    from flow.page import page

    report = json.loads(json.dumps(gated[1]).replace("resnet8", "<script>alert(1)</script>"))
    page.write(tmp_path / "page.html", report, ["gatefold", "<b>"])
    assert "&lt;script&gt;alert(1)" in (tmp_path / "page.html").read_text()
    check_alone((tmp_path / "page.html").read_text())


def test_a_browser_has_nothing_to_say(gated):
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no Chromium is installed (Debian: apt-get install chromium)")
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0", "--dump-dom"]
    done = subprocess.run([browser, *options, gated[0].as_uri()], capture_output=True, text=True, timeout=60)
    assert "CONSOLE" not in done.stderr and re.search(r"<h1>resnet8</h1>", done.stdout)
