"""The notebook, executed in a real kernel on the simulated board; its sources, the camera among them through OpenCV."""

import json
import os
import re

import pytest

from tests.board.conftest import ROOT

# Runs in the board's environment: the notebook, then a user who moves the slider and presses the button.
EXECUTE = """
import json, sys
import nbformat
from nbclient import NotebookClient

notebook = nbformat.read(sys.argv[1], 4)
nbformat.validate(notebook)
notebook.cells[-1:-1] = [nbformat.v4.new_code_cell(source) for source in (
    "panel.mode.value = '1/4'; print(panel.table.value)",
    "panel.run.click()",
    "import json; print(json.dumps([panel.table.value, [box.children[1].value for box in panel.pictures.children], panel.said.value]))",
    "print(bytes(panel.pictures.children[0].children[0].value[:4]))",
    "from board.errors import BoardError\\n"
    "def gone(count): raise BoardError('the camera <b>is gone</b>; plug it in again.')\\n"
    "live.source.take = gone; panel.run.click(); print(panel.said.value)",
)]
NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": sys.argv[2]}}).execute()
print(json.dumps([[output.get("text", output.get("data")) for output in cell.outputs] for cell in notebook.cells if cell.cell_type == "code"]))
"""

CAMERA = """
import sys, types
import cv2, numpy as np
from board.errors import BoardError
from board.sources import CameraSource

film = sys.argv[1]
writer = cv2.VideoWriter(film, cv2.VideoWriter_fourcc(*"MJPG"), 25, (96, 48))
for level in (40, 200):
    picture = np.zeros((48, 96, 3), np.uint8)
    picture[:, 24:48] = (0, 0, level)  # BGR: left half of the square in the middle, red
    picture[:, 48:72] = (level, 0, 0)
    writer.write(picture)
writer.release()
for shape in ((32, 32, 3), (16, 24, 3), (8, 8, 1)):
    source = CameraSource(types.SimpleNamespace(picture=types.SimpleNamespace(shape=shape), model="m"), film)
    pictures, labels = source.take(5)
    source.close()
    assert labels is None and pictures.shape == (5, *shape) and pictures.dtype == np.uint8
    left, right = pictures[:, :, 1 : shape[1] // 2 - 2], pictures[:, :, shape[1] // 2 + 2 : -1]
    for number, level in enumerate((40, 200, 40, 200, 40)):
        if shape[2] == 3:
            assert np.abs(left[number].mean((0, 1)) - (level, 0, 0)).max() < 12, left[number].mean((0, 1))
            assert np.abs(right[number].mean((0, 1)) - (0, 0, level)).max() < 12
        else:
            assert abs(left[number].mean() - 0.299 * level) < 12 and abs(right[number].mean() - 0.114 * level) < 12
for shape, camera, said in (((32, 32, 3), 77, "camera 77 does not open"), ((32, 32, 2), film, "2 colours")):
    try:
        CameraSource(types.SimpleNamespace(picture=types.SimpleNamespace(shape=shape), model="m"), camera)
        raise SystemExit("not refused")
    except BoardError as problem:
        assert said in str(problem)
print("good")
"""


@pytest.fixture(scope="module")
def executed(build, board, tmp_path_factory):
    """Outputs of the cells, in order, the test's own among them."""
    folder = tmp_path_factory.mktemp("builds")
    (folder / "resnet8").symlink_to(build)
    notebooks = ROOT / "board" / "notebooks"
    environment = {**os.environ, "GATEFOLD_BUILD": str(folder), "IPYTHONDIR": str(folder / "ipython"), "JUPYTER_PLATFORM_DIRS": "1"}
    done = board("-W", "ignore", "-c", EXECUTE, notebooks / "gatefold.ipynb", notebooks, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def printed(outputs):
    """The text of a cell, which comes in pieces."""
    return "".join(output for output in outputs if isinstance(output, str))


def test_the_notebook_runs(executed, build, program):
    told, sweep = (printed(executed[cell]) for cell in (2, 4))
    assert told == "resnet8 on the simulated pynq-z2, 142.857 MHz: modes full, 1/2, 1/4, 1/8, 1/16\n"
    assert "application/vnd.jupyter.widget-view+json" in executed[3][-1]
    rows = dict(re.match(r"(\S+) +([\d,]+) frames/s", line).groups() for line in sweep.splitlines())
    for mode, rate in rows.items():
        run = json.loads(program("--board-dir", build / "deploy", "--mode", mode, "--count", 4, "--json").out)
        assert int(rate.replace(",", "")) == pytest.approx(run["frames_per_s"], rel=1e-3), mode
    assert list(rows) == ["full", "1/2", "1/4", "1/8", "1/16"]


def test_the_slider_changes_what_is_shown(executed, build, program):
    table, names, said = json.loads(printed(executed[7]))
    # The panel ran once when it was made, once for the slider, once for the button; the sweep took four frames of each of five modes.
    run = json.loads(program("--board-dir", build / "deploy", "--mode", "1/4", "--count", 32, "--batch", 4, "--json").out)
    classes = json.loads((build / "deploy" / "modes.json").read_text())["classes"]
    assert names == [classes[number] for number in run["predictions"][28:32]] and said == ""
    assert "bold'>1/4</td>" in printed(executed[5])  # by the slider alone
    rows = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row) for row in re.findall(r"<tr>(.*?)</tr>", table)]
    shown = {row[0]: row[1:] for row in rows}
    assert shown["1/8"] == ["–"] * 4
    assert float(shown["1/4"][0].replace(",", "")) == pytest.approx(run["frames_per_s"], rel=0.01)
    assert float(shown["1/4"][2]) == pytest.approx(run["energy"]["millijoule"] / 32, rel=0.02)
    assert float(shown["full"][2]) > 2 * float(shown["1/4"][2])
    assert "PNG" in printed(executed[8]) and "camera &lt;b&gt;is gone&lt;/b&gt;; plug it in again." in printed(executed[9])


def test_a_camera(board, tmp_path):
    done = board("-c", CAMERA, tmp_path / "film.avi")
    assert (done.returncode, done.stdout) == (0, "good\n"), done.stderr
