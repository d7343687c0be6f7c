"""Tables of accuracy against energy, from logs that the board program's own writer wrote, against figures worked out by hand."""

import csv
import json
import math

import pytest

from board.energy_log import EnergyLog
from flow.cli import main
from flow.errors import GatefoldError
from flow.measurements.log import read_results
from flow.measurements.tables import details, markdown, overview, records, tables

RESULT = {
    "record": "result", "session": "0123456789abcdef", "time": "2026-11-26T15:30:00Z", "network": "resnet8", "build": "ab" * 32,
    "board": "pynq-z2", "clock_mhz": 142.857143, "simulated": False, "image": "PYNQ 3.0.1", "ambient_c": 21.5, "kind": "measured",
    "meter": {"name": "ina226", "chip": "ina226"}, "calibration": None, "mode": "full", "gates": None, "gate_threshold": None,
    "layer_threshold": None, "exit": None, "budget_cycles": None, "confidence": None, "windows": [[10.0, 16.0, 80000]],
    "energy_per_inference_mj": {"mean": 0.2, "low": 0.19, "high": 0.21}, "energy_above_idle_mj": 0.025, "power_w": 1.75, "idle_w": 1.5,
    "fps": 8750.0, "latency_ms": 0.25, "cycles_per_frame": 13254.0, "tiles_per_frame": 11000.0, "computation_saved": 0.0,
    "accuracy": 0.85, "accuracy_of": "frames", "temperature_c": 44.0, "samples_per_s": 420.0, "sampling_error": 0.001, "problems": [],
}  # fmt: skip


def result(mode="full", mj=0.2, saved=0.0, accuracy=0.85, **changes):
    energy = {"mean": mj, "low": 0.95 * mj, "high": 1.05 * mj}
    return {**RESULT, "mode": mode, "energy_per_inference_mj": energy, "computation_saved": saved, "accuracy": accuracy, **changes}


def logged(path, *given):
    """A log with these records, and others between them."""
    log = EnergyLog(path)
    log.append({"record": "session", "session": RESULT["session"], "time": RESULT["time"], "settings": []})
    for each in given:
        log.append({"record": "window", "session": RESULT["session"], "number": 0, "joules": 16.0})
        log.append(each)
    log.append({"record": "of another day", "what": 1})
    log.close()
    return path


def cells(lines):
    """{(row, column): cell}."""
    return {(line[0], column): cell for line in lines[1:] for column, cell in zip(lines[0][1:], line[1:])}


def test_the_layout_of_ddi(tmp_path):
    """A column a setting: computation saved, energy saved against the full network, accuracy."""
    log = logged(tmp_path / "e", result("1/4", 0.066, 0.7, 0.81), result(), result("1/2", 0.1058, 0.5, 0.84))
    (table,) = tables(read_results(log))
    assert overview(table) == [
        ["", "full", "1/2", "1/4"],
        ["Computation saved, %", "0.00", "50.00", "70.00"],
        ["Energy saved, %, measured", "0.00", "47.10", "67.00"],
        ["Accuracy, %", "85.00", "84.00", "81.00"],
    ]
    assert "resnet8 on pynq-z2, 142.857 MHz, build abababab" in markdown([table])
    assert cells(details(table))["1/2", "95 % interval, measured"] == "0.1005 to 0.1111"


def test_measured_and_modelled_share_no_column(tmp_path):
    modelled = {"kind": "modelled", "meter": {"name": "model", "idle_w": 1.5, "active_w": 1.7}, "energy_above_idle_mj": 0.003}
    log = logged(
        tmp_path / "e", result(), result("1/4", 0.05, 0.7), result(mj=0.16, **modelled), result("1/8", 0.016, 0.8, **modelled)
    )
    found = tables(read_results(log))
    shown = cells(overview(found[0]))
    assert shown["Energy saved, %, measured", "1/4"] == "75.00" and shown["Energy saved, %, modelled", "1/4"] == "–"
    assert shown["Energy saved, %, measured", "1/8"] == "–" and shown["Energy saved, %, modelled", "1/8"] == "90.00"
    one = {record["setting"]: record for record in records(found)}
    assert (one["full"]["mj_measured"], one["full"]["mj_modelled"]) == (0.2, 0.16)
    assert (one["1/4"]["mj_measured"], one["1/4"]["mj_modelled"]) == (0.05, None)
    # Whatever is of an energy names its kind, and holds that kind's figures alone.
    for lines in (overview(found[0]), list(zip(*details(found[0])))):
        for name, *values in lines:
            if "mJ" in name or "nergy" in name or "W" in name:
                assert name.endswith(("measured", "modelled")), name
                own = {each["setting"] for each in one.values() if each[f"mj_{name.split(', ')[-1]}"] is not None}
                settings = overview(found[0])[0][1:]
                assert all((value == "–") == (setting not in own) for setting, value in zip(settings, values))


def test_gates_and_exits_are_compared_with_the_network_without_them(tmp_path):
    gated = [result("full", 0.15, 0.4, 0.8, gates="on", gate_threshold=0, layer_threshold=0, exit=at) for at in (0, 1, 2)]
    gated[0]["energy_per_inference_mj"]["mean"], gated[1]["energy_per_inference_mj"]["mean"] = 0.05, 0.1
    off = {"gates": "off", "gate_threshold": None, "layer_threshold": None}
    stopped = result("full ungated", 0.09, 0.0, **off, exit=0)
    sure = result("full", 0.08, 0.6, gates="on", gate_threshold=7, layer_threshold=0, confidence="2.5")
    everything = result(
        "full", 0.25, 0.0, gates="on", gate_threshold=-9, layer_threshold=0, exit=2
    )  # its gates say yes to all, and cost
    log = logged(tmp_path / "e", everything, *gated, sure, stopped, result("full ungated", 0.2, 0.0, **off, exit=2))
    (table,) = tables(read_results(log))
    saved = cells(overview(table))
    assert table.baselines == {"measured": "full ungated, exit 2"}
    assert (
        saved["Energy saved, %, measured", "full, exit 2"] == "25.00"
        and saved["Energy saved, %, measured", "full, exit 0"] == "75.00"
    )
    assert saved["Energy saved, %, measured", "full, gates from 7, confidence 2.5"] == "60.00"
    (table,) = tables(read_results(logged(tmp_path / "f", *gated)))
    assert table.baselines == {} and cells(overview(table))["Energy saved, %, measured", "full, exit 2"] == "–"
    assert any("full mode without gates and exits is not in the log" in note for note in table.notes)


def test_the_latest_result_of_a_setting_counts_and_designs_stay_apart(tmp_path):
    log = logged(tmp_path / "e", result(mj=0.4), result(mj=0.2), result("1/4", 0.1, 0.7), result(mj=0.3, board="zedboard"))
    first, second = tables(read_results(log))
    assert cells(details(first))["full", "mJ an inference, measured"] == "0.2" and "1 earlier result of these" in "".join(
        first.notes
    )
    assert cells(overview(first))["Energy saved, %, measured", "1/4"] == "50.00"
    assert [row.setting for row in second.rows] == ["full"] and "zedboard" in second.title


def test_a_torn_last_line_is_not_there(tmp_path):
    path = logged(tmp_path / "e", result(), result("1/4", 0.1, 0.7))
    whole = path.read_bytes()
    for left in (1, 40, 300):
        path.write_bytes(whole + whole[-400:][:left].replace(b"\n", b""))
        assert len(read_results(path)) == 2


@pytest.mark.parametrize("key, value, said", [
    ("energy_per_inference_mj", {"mean": None}, "mean"),
    ("energy_per_inference_mj", 0.2, "mean"),
    ("fps", math.inf, "fps"),
    ("computation_saved", "much", "computation_saved"),
    ("simulated", 1, "simulated"),
    ("accuracy", True, "accuracy"),
    ("kind", "guessed", "measured or modelled"),
    ("meter", None, "name"),
    ("format", 2, "format 1"),
])  # fmt: skip
def test_a_result_that_is_none_is_refused_in_a_sentence(tmp_path, key, value, said):
    path = tmp_path / "e"
    path.write_text(json.dumps({"format": 1, **result(), key: value}) + "\n")
    with pytest.raises(GatefoldError, match=said) as refused:
        read_results(path)
    assert "line 1" in str(refused.value) and str(refused.value).endswith((".", "log."))


@pytest.mark.parametrize("contents, said", [
    (b"", "holds no results yet"),
    (b"\x89PNG\r\n\x1a\n0000\n", "is no energy log"),
    (b'{"format": 1, "record": "session"}\n', "holds no results yet"),
    (b'{"format": 1, "record": "session"}\n{"torn\n{"format": 1, "record": "end"}\n', "damaged in line 2"),
])  # fmt: skip
def test_files_that_are_no_log_are_refused(tmp_path, capsys, contents, said):
    path = tmp_path / "e"
    path.write_bytes(contents)
    assert main(["report", "--energy", str(path), "--output", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert said in error and len(error.splitlines()) == 1 and not (tmp_path / "out").exists()


@pytest.mark.parametrize("words, said", [
    (["report"], "Name a network"),
    (["report", "--energy", "nowhere"], "cannot be read"),
    (["report", "resnet8", "--output", "x"], "name it with --energy"),
    (["report", "--energy", "nowhere", "--html", "x"], "show a network"),
    (["report", "resnet20", "--energy", "LOG"], "holds no result of resnet20, but of resnet8"),
])  # fmt: skip
def test_what_does_not_go_together(tmp_path, capsys, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    logged(tmp_path / "LOG", result())
    assert main(words) == 2 and said in capsys.readouterr().err and [path.name for path in tmp_path.iterdir()] == ["LOG"]


def test_the_files(tmp_path, capsys):
    from xml.etree import ElementTree

    modelled = result("1/8", 0.03, 0.8, kind="modelled", network="resnet20")
    log = logged(tmp_path / "e", result(), result("1/4", 0.1, 0.7, 0.8), modelled)
    assert main(["report", "--energy", str(log), "--output", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    names = ["energy.md", "energy.csv", "time.svg", "measured.svg", "modelled.svg"]
    assert printed.splitlines()[-5:] == [str(tmp_path / "out" / name) for name in names]
    assert (tmp_path / "out" / "energy.md").read_text() in printed
    rows = list(csv.DictReader((tmp_path / "out" / "energy.csv").open()))
    assert [(row["setting"], row["mj_measured"], row["mj_modelled"]) for row in rows] == [
        ("full", "0.2", ""), ("1/4", "0.1", ""), ("1/8", "", "0.03"),
    ]  # fmt: skip
    marks = {
        name: [title.text for title in ElementTree.parse(tmp_path / "out" / name).iter("{http://www.w3.org/2000/svg}title")]
        for name in names[2:]
    }
    assert marks["measured.svg"] == ["full: 0.2, 85.00 %", "1/4: 0.1, 80.00 %"] and marks["modelled.svg"] == ["1/8: 0.03, 85.00 %"]
    assert marks["time.svg"] == ["full: 0.25, 85.00 %", "1/4: 0.25, 80.00 %", "1/8: 0.25, 85.00 %"]
    assert main(["report", "--energy", str(log), "--json"]) == 0
    assert [record["mode"] for record in json.loads(capsys.readouterr().out)] == ["full", "1/4", "1/8"]


def test_the_page_shows_the_tables(tmp_path, capsys):
    log = logged(tmp_path / "e", result(), result("1/4", 0.1, 0.7, 0.8))
    assert main(["report", "resnet8", "--no-synthesis", "--energy", str(log), "--html", str(tmp_path / "page.html")]) == 0
    text = (tmp_path / "page.html").read_text()
    assert "Energy saved, %, measured" in text and "<td>50.00</td>" in text and "1/4: 0.1, 80.00 %" in text
    assert "Energy saved, %, measured" in capsys.readouterr().out
