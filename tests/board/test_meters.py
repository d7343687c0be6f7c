"""Every meter against the kernel's files or its own library: a known waveform gives its known energy, and faults are seen and told."""

import json
import subprocess
import threading
import time

import numpy as np
import pytest
from waveforms import Hand, energy, power, shown_in

from board import meters
from board.calibration import calibrate, read_calibration
from board.energy import Power
from board.errors import BoardError
from board.meters import trace
from board.meters.hwmon import Hwmon
from board.meters.iio import Iio
from board.meters.recording import mend_steps_back
from board.meters.scpi import Scpi, step
from board.meters.trace import Unusable, integrate, metered
from board.meters.xadc import Xadc
from board.temperature import chip_temperature

BEGIN, END = 0.2, 3.2
ANSWERS = """
spec: "1.1"
devices:
  supply:
    eom:
      USB INSTR: {q: "\\n", r: "\\n"}
    dialogues:
      - {q: "*IDN?", r: "Gatefold,Test supply,7,1.0"}
    properties:
      power:
        default: 1.7
        specs: {type: float}
        getter: {q: "MEAS:POW?", r: "{:+.5E}"}
        setter: {q: "SIM:POW {:.9f}"}
      voltage:
        default: 5.0
        specs: {type: float}
        getter: {q: "MEAS:VOLT?", r: "{:.4f}"}
        setter: {q: "SIM:VOLT {:.9f}"}
      current:
        default: 0.34
        specs: {type: float}
        getter: {q: "MEAS:CURR?", r: "{:.5f}"}
        setter: {q: "SIM:CURR {:.9f}"}
resources:
  USB0::0x1111::0x2222::7::INSTR:
    device: supply
"""
RESOURCE = "USB0::0x1111::0x2222::7::INSTR"


def files(folder, **contents):
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in contents.items():
        (folder / name).write_text(f"{value}\n")
    return folder


def hwmon(root, chip="ina226", shunt=10_000, interval=None, number=0):
    folder = files(root / f"hwmon{number}", name=chip, power1_input=1_700_000, in1_input=12_000, curr1_input=142)
    return files(folder, **({"shunt_resistor": shunt} if shunt else {}), **({"update_interval": interval} if interval else {}))


def chip(tmp_path, name, shunt, register_w):
    """(a hwmon meter, what shows it a power): power1_input in µW, whole steps of the register."""
    folder = hwmon(tmp_path, name, shunt)
    write = shown_in(folder / "power1_input")
    return (
        lambda **timing: Hwmon(name, folder, **timing),
        lambda t: write(round(round(float(power(t)) / register_w) * register_w * 1e6)),
    )


def iio_chip(tmp_path):
    folder = files(tmp_path / "iio:device0", name="ina226", in_power2_raw=68, in_power2_scale=6.25, in_shunt_resistor=0.01)
    files(folder, in_sampling_frequency=455, in_voltage0_raw=1, in_current3_raw=1)
    write = shown_in(folder / "in_power2_raw")
    return (lambda **timing: Iio("ina226", folder, **timing)), (lambda t: write(round(float(power(t)) / 6.25e-3)))


def xadc(tmp_path, gain):
    folder = files(tmp_path / "iio:device0", name="xadc", in_voltage8_raw=40 * gain, in_voltage8_scale=0.244140625)
    files(folder, in_temp0_raw=2600, in_temp0_offset=-2219, in_temp0_scale=123.040771484)
    write = shown_in(folder / "in_voltage8_raw")
    return (
        lambda **timing: Xadc(folder, gain=gain, **timing),
        lambda t: write(round(float(power(t)) / 12 * 0.01 * gain * 4096)),  # 1 V is 4096
    )


def supply(tmp_path, **queries):
    """A SCPI instrument of pyvisa-sim, which is shown a power by commands of its own."""
    (tmp_path / "supply.yaml").write_text(ANSWERS)
    made = []

    def make(**timing):
        made.append(Scpi(RESOURCE, backend=f"{tmp_path / 'supply.yaml'}@sim", **queries, **timing))
        return made[0]

    def show(t):
        watts = float(power(t))
        if made:
            made[0]._instrument.write(f"SIM:POW {watts:.9f}")
            made[0]._instrument.write(f"SIM:CURR {watts / 5:.9f}")

    return make, show


METERS = {
    "ina219 hwmon": lambda tmp: chip(tmp, "ina219", 100_000, 2e-3),
    "ina226 hwmon": lambda tmp: chip(tmp, "ina226", 10_000, 6.25e-3),
    "ina260 hwmon": lambda tmp: chip(tmp, "ina260", None, 10e-3),
    "ina226 iio": iio_chip,
    "xadc with an amplifier": lambda tmp: xadc(tmp, 100),
    "scpi power": lambda tmp: supply(tmp, power="MEAS:POW?"),
    "scpi voltage and current": supply,
    "scpi current": lambda tmp: supply(tmp, volt=5.0),
}


def run(made, until=3.4, **hand):
    """A meter that has sampled the waveform for `until` seconds of its own time."""
    make, show = made
    hands = Hand(show, until, **hand)
    meter = make(clock=hands.clock, sleep=hands.sleep)
    hands.stop = meter._over.set
    meter.sample()
    return meter


@pytest.fixture(params=METERS, ids=lambda name: name.replace(" ", "-"))
def meter(request, tmp_path):
    return METERS[request.param](tmp_path)


def test_a_known_waveform_gives_its_energy(meter):
    seen = run(meter)
    found = metered(*seen.samples(), BEGIN, END, seen.step_w)
    assert found.joules == pytest.approx(energy(BEGIN, END), rel=0.005)
    assert found.problems == () and found.samples_per_s == pytest.approx(found.samples / (END - BEGIN))
    assert 1e-4 < found.sampling_error < 0.05
    assert json.dumps(seen.identity) and seen.kind == "measured" and seen.calibration is None


def test_a_trace_is_integrated_over_its_actual_intervals():
    """Not as a mean of readings: here nine samples of ten lie in the low half."""
    times = np.concatenate([np.linspace(0, 5, 900, endpoint=False), np.linspace(5, 10, 101)])
    watts = np.where(times < 5, 1.0, 2.0)
    assert integrate(times, watts, 0, 10) == pytest.approx(15, rel=1e-3) and watts.mean() < 1.2


def test_a_window_ends_between_samples():
    times = np.arange(0, 4.0)
    assert integrate(times, 1 + times, 0.5, 2.25) == pytest.approx(1.75 + (2.25**2 - 0.5**2) / 2)


def failing(made, when, how=OSError):
    """The same meter, whose readings fail at times that `when` names."""
    make, show = made

    def make_failing(**timing):
        meter = make(**timing)
        real = meter.read

        def read():
            if when(timing["clock"]()):
                if how is OSError:
                    raise OSError("No such device")
                return how(real)
            return real()

        meter.read = read
        return meter

    return make_failing, show


def test_dropped_samples(meter):
    """One reading of ten fails, and none comes for 40 ms now and then."""
    generator = np.random.default_rng(3)
    seen = run(failing(meter, lambda t: generator.random() < 0.1 or t % 1 < 0.04))
    found = metered(*seen.samples(), BEGIN, END, seen.step_w)
    assert found.joules == pytest.approx(energy(BEGIN, END), rel=0.005)
    assert len(found.problems) == 1 and "gaps without samples" in found.problems[0]


def test_unplugged_in_mid_run(meter):
    seen = run(failing(meter, lambda t: t > 1.7))
    with pytest.raises(
        BoardError, match=r"has stopped answering \(.*No such device.*\); plug it in again and type the same command"
    ):
        seen.samples()


def test_a_reading_that_stands_still(meter):
    """From the middle of the window on, as pynq.pmbus does it where a bus fails."""
    stuck = []

    def again(real):
        stuck.append(stuck[-1] if stuck else real())
        return stuck[-1]

    seen = run(failing(meter, lambda t: t > 1.7, again))
    with pytest.raises(Unusable, match=r"its reading stands still at 1\.\d+ W|its reading stands still at 2"):
        metered(*seen.samples(), BEGIN, END, min(seen.step_w, 0.005))


def test_zero_readings(meter):
    seen = run(failing(meter, lambda t: t % 0.5 < 0.01, lambda real: 0.0))
    found = metered(*seen.samples(), BEGIN, END, seen.step_w)
    assert found.joules == pytest.approx(energy(BEGIN, END), rel=0.005)
    assert any("readings were zero or none and are left out" in problem for problem in found.problems)
    with pytest.raises(Unusable, match="it reads zero all the time"):
        metered(np.arange(BEGIN, END, 0.01), np.zeros(300), BEGIN, END)


@pytest.mark.parametrize(
    "times, saying",
    [
        (np.arange(0, 0.15, 0.01), "it gave no samples"),
        (np.concatenate([np.arange(0, 1, 0.01), np.arange(2, 4, 0.01)]), "it gave no sample for 1.01 s of a window of 3 s"),
        (np.concatenate([np.arange(0, 2, 0.01), np.arange(1, 4, 0.01)]), "its clock stepped back"),
        (np.arange(0, 2.5, 0.01), "it gave no sample for 0.71 s"),
    ],
)
def test_traces_that_are_refused(times, saying):
    with pytest.raises(Unusable, match=saying):
        metered(times, power(times), BEGIN, END)


def test_a_step_back_becomes_the_usual_interval():
    """Whatever its size, one or several, beside a gap where samples were lost: neither the mean nor nothing takes its place."""
    intervals = np.full(60, 0.01)
    intervals[[7, 33]] = 0.05
    expected = 3 + np.concatenate([[0.0], np.cumsum(intervals)])
    for steps in ({}, {20: -0.4}, {20: -7.0, 21: -0.001, 50: -3.0}):
        recorded = intervals.copy()
        for at, size in steps.items():
            recorded[at] = size
        times, count = mend_steps_back(3 + np.concatenate([[0.0], np.cumsum(recorded)]))
        assert count == len(steps)
        np.testing.assert_allclose(times, expected, rtol=0, atol=1e-9)


def test_a_coarse_meter_may_stand_still_and_its_step_counts():
    times = np.arange(0, 4, 0.001)
    with pytest.raises(Unusable, match="stands still"):
        metered(times, np.full(len(times), 1.8), BEGIN, END, 0.001)
    found = metered(times, np.full(len(times), 1.8), BEGIN, END, 0.3)
    assert found.sampling_error == pytest.approx(0.3 / 12**0.5 / 1.8)


def test_the_bare_xadc_says_how_coarse_it_is(tmp_path):
    """24 mA at 10 mΩ: 8 % of 0.3 A."""
    make, show = xadc(tmp_path, 1)
    bare = make()
    assert bare.step_w / 12 == pytest.approx(0.0244, rel=0.01) and bare.step_w / 12 / 0.3 == pytest.approx(0.08, rel=0.02)
    seen = run((make, show))
    assert metered(*seen.samples(), BEGIN, END, seen.step_w).sampling_error > 0.04


def test_two_calls_leave_no_time_between_them(tmp_path):
    """The last sample of one comes first in the next, so windows that touch have all of the energy."""
    folder = hwmon(tmp_path)
    meter = Hwmon("ina226", folder)
    for _ in range(2):
        meter.poll()
    first, _ = meter.samples()
    meter.poll()
    second, _ = meter.samples()
    assert len(first) == 2 and len(second) == 2 and second[0] == first[-1]


def test_a_thread_samples_a_file_of_the_kernel(tmp_path, monkeypatch):
    """In real time: power that another thread shows, until the device goes."""
    folder = hwmon(tmp_path, interval=2)
    meter = Hwmon("ina226", folder)
    over, started, write = threading.Event(), time.monotonic(), shown_in(folder / "power1_input")

    def show():
        while not over.is_set():
            write(round(1e6 * (2 + (time.monotonic() - started) % 0.1)))
            time.sleep(0.0005)

    thread = threading.Thread(target=show)
    thread.start()
    meter.start()
    time.sleep(0.8)
    times, watts = meter.samples()
    monkeypatch.setattr(trace, "GAP_SECONDS", 1.0)  # of a machine that does other things
    found = metered(times, watts, times[0], times[-1], 0.001)
    over.set()
    thread.join()
    assert found.joules / (times[-1] - times[0]) == pytest.approx(2.05, rel=0.02)
    assert 2 < found.samples_per_s < 510
    (folder / "power1_input").unlink()
    with pytest.raises(BoardError, match="ina226 has stopped answering"):
        for _ in range(300):
            time.sleep(0.1)
            meter.samples()
    meter.stop()


def test_two_point_calibration(tmp_path, monkeypatch):
    """A meter that reads 3 % and 40 mW too much is right between and beyond the points."""
    monkeypatch.setattr(trace, "GAP_SECONDS", 1.0)  # of a machine that does other things
    folder, path = hwmon(tmp_path), tmp_path / "ina226.json"
    reads = lambda watts: 1.03 * watts + 0.04  # noqa: E731

    class Noisy(Hwmon):
        def read(self):
            return super().read() * (1 + 1e-4 * np.sin(1e3 * time.monotonic()))

    for true in (1.0, 3.0):
        (folder / "power1_input").write_text(str(round(1e6 * reads(true))))
        said = calibrate(path, Noisy("ina226", folder), true, seconds=0.2)
    assert said.endswith("has two of two points\n") or "2 of two points" in said
    found = read_calibration(path, "ina226")
    assert found.apply(np.array([reads(1.0), reads(2.2), reads(5)])) == pytest.approx([1, 2.2, 5], rel=1e-3)
    with pytest.raises(BoardError, match="has both points; remove it"):
        calibrate(path, Noisy("ina226", folder), 2.0, seconds=0.01)
    with pytest.raises(BoardError, match="is the calibration of 'ina226', not of xadc"):
        read_calibration(path, "xadc")
    one = tmp_path / "one.json"
    calibrate(one, Noisy("ina226", folder), 3.0, seconds=0.2)
    with pytest.raises(BoardError, match="has 1 of two points"):
        read_calibration(one, "ina226")
    with pytest.raises(BoardError, match="make no line; use loads that differ by 1.2 times"):
        calibrate(one, Noisy("ina226", folder), 3.1, seconds=0.2)
    meter = run(METERS["ina226 hwmon"](tmp_path / "other"))
    meter.calibration = found
    expected = (energy(BEGIN, END) - 0.04 * (END - BEGIN)) / 1.03
    assert metered(*meter.samples(), BEGIN, END).joules == pytest.approx(expected, rel=0.005)


def test_the_kernels_tree_is_searched_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(meters, "HWMON", tmp_path / "hwmon")
    monkeypatch.setattr(meters, "IIO", tmp_path / "iio")
    model = lambda text: meters.open_meter(text, Power(), 100)  # noqa: E731
    with pytest.raises(BoardError, match="the kernel shows no ina226; bind it: echo ina226 0x40"):
        model("ina226")
    hwmon(tmp_path / "hwmon", number=0, chip="lm75")
    hwmon(tmp_path / "hwmon", number=1, shunt=100_000, interval=4)
    found = model("ina226")
    assert found.identity["path"].endswith("hwmon1") and found.identity["shunt_ohm"] == pytest.approx(0.1)
    assert found.interval_s == 0.004 and found.step_w == pytest.approx(0.625e-3)
    hwmon(tmp_path / "hwmon", number=2)
    with pytest.raises(BoardError, match=r"2 ina226 \(hwmon1, hwmon2\); say which: --meter ina226:hwmon1"):
        model("ina226")
    assert model("ina226:hwmon2").identity["path"].endswith("hwmon2")
    assert model(f"ina226:{tmp_path}/hwmon/hwmon1").interval_s == 0.004
    iio_chip(tmp_path / "iio")
    assert model("ina226:iio:device0").identity["interface"] == "iio"
    (tmp_path / "iio" / "iio:device0" / "name").write_text("xadc\n")
    xadc(tmp_path / "iio", 50)
    found = model("xadc:gain=50,shunt=0.02,volts=5,channel=8")
    assert found.identity["gain"] == 50 and found.step_w == pytest.approx(1 / 4096 / 50 / 0.02 * 5)
    assert chip_temperature(tmp_path / "iio") == pytest.approx((2600 - 2219) * 0.123040771)
    assert chip_temperature(tmp_path) is None


@pytest.mark.parametrize(
    "text, saying",
    [
        ("", "give model, ina219"),
        ("volts", "give model, ina219"),
        ("scpi", "give model, ina219"),
        ("model:2", "give model, ina219"),
        ("ina226:hwmon0,x=1", "ina226 has no option 'x'; it takes none"),
        ("xadc:gain=much", "the kernel shows no xadc|gain of xadc is 'much'"),
        ("xadc:,gain=1,gain=2", "is no KEY=VALUE of its own"),
        ("scpi:X,power", "'power' in 'scpi:X,power' is no KEY=VALUE"),
        ("ina226:/nowhere", "the kernel shows no ina226 at /nowhere"),
    ],
)
def test_meters_that_are_none(text, saying):
    with pytest.raises(BoardError, match=saying):
        meters.open_meter(text, Power(), 100)


def test_an_instrument_that_is_not_there(tmp_path):
    (tmp_path / "supply.yaml").write_text(ANSWERS)
    library = f"{tmp_path / 'supply.yaml'}@sim"
    with pytest.raises(BoardError, match="does not answer .*; look for its name with: python3 -m visa info"):
        Scpi("USB0::0x1::0x2::3::INSTR", backend=library)
    with pytest.raises(BoardError, match="does not answer"):
        Scpi(RESOURCE, power="MEAS:FOO?", backend=library)
    with pytest.raises(BoardError, match="name its queries for numbers"):
        Scpi(RESOURCE, power="*IDN?", backend=library)


def test_a_library_that_is_missing(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pyvisa", None)
    with pytest.raises(BoardError, match="pyvisa is missing; type: pip install pyvisa"):
        Scpi(RESOURCE)
    with pytest.raises(BoardError, match="pynq.pmbus cannot be imported .*; run on the board"):
        meters.open_meter("pmbus", Power(), 100)


def test_the_step_of_an_answer():
    assert [step(text) for text in ("1.670", "12", "+1.67000E+00", "-3.2e-2", "x")] == pytest.approx([1e-3, 1, 1e-5, 1e-3, 0])


# --- pynq.pmbus: the real module, above a libsensors of ours that reads its values from a file

SENSORS = r"""
#include <stdio.h>
#include <string.h>
typedef struct { short type, nr; } bus; typedef struct { char *prefix; bus b; int addr; char *path; } chip;
typedef struct { char *name; int number, type, first, pad; } feature; typedef struct { char *name; int number, type, mapping; unsigned flags; } sub;
static chip chips[] = {{"ina226", {1, 0}, 64, ""}};
static feature features[] = {{"VIN", 0, 0, 0, 0}, {"VIN", 1, 5, 1, 0}, {"VINT", 2, 3, 2, 0}, {"HEAT", 3, 2, 3, 0}};
static sub subs[] = {{"in1_input", 0, 0, 0, 1}, {"curr1_input", 1, 0x500, 0, 1}, {"power1_input", 2, 0x303, 0, 1}, {"temp1_input", 3, 0x200, 0, 1}};
int sensors_init(FILE *f) { return 0; }
const chip *sensors_get_detected_chips(const chip *m, int *nr) { return *nr < 1 ? &chips[(*nr)++] : 0; }
const feature *sensors_get_features(const chip *c, int *nr) { return *nr < 4 ? &features[(*nr)++] : 0; }
char *sensors_get_label(const chip *c, const feature *f) { return strdup(f->name); }
const sub *sensors_get_subfeature(const chip *c, const feature *f, int type) { return subs[f->number].type == type ? &subs[f->number] : 0; }
int sensors_get_value(const chip *c, int number, double *value) {
    FILE *file = fopen(getenv("SENSORS_VALUES"), "r"); double read[3];
    if (!file || fscanf(file, "%lf %lf %lf", read, read + 1, read + 2) != 3) { if (file) fclose(file); return -5; }
    fclose(file); *value = read[number]; return 0;
}
"""
PMBUS = """
import json, os, sys
import numpy as np
sys.path[0:0] = [os.getcwd(), "tests/board"]
from waveforms import Hand, energy, power
from board import meters
from board.energy import Power
from board.errors import BoardError
from board.meters.pmbus import Pmbus
from board.meters.trace import Unusable, metered

path = os.environ["SENSORS_VALUES"]
def run(fails=lambda t: False):
    open(path, "w").write("5.000000000 0.170000000 0.850000000")
    file = os.open(path, os.O_WRONLY)
    def show(t):
        if fails(t) and os.path.exists(path):
            os.unlink(path)
        os.pwrite(file, b"5.000000000 %.9f %.9f" % (float(power(t)) / 10, float(power(t)) / 2), 0)
    hands = Hand(show, 3.4)
    meter = Pmbus([], clock=hands.clock, sleep=hands.sleep)
    hands.stop = meter._over.set
    meter.sample()
    return meter
seen = run()
found = metered(*seen.samples(), 0.2, 3.2, seen.step_w)
assert abs(found.joules / energy(0.2, 3.2) - 1) < 0.005, found
assert seen.identity == {"rails": ["VIN", "VINT"]}
try:
    seen = run(lambda t: t > 1.7)
    metered(*seen.samples(), 0.2, 3.2, seen.step_w)
    raise SystemExit("a reading that failed passes")
except Unusable as problem:
    assert "stands still" in str(problem)
def refused(text, saying):
    try:
        meters.open_meter(text, Power(), 100)
        raise SystemExit("no error")
    except BoardError as problem:
        assert saying in str(problem), problem
refused("pmbus:VOUT", "there is no power of a rail 'VOUT'; pynq.pmbus has VIN, VINT")
refused("pmbus:HEAT", "there is no power of a rail 'HEAT'")
assert [rail.name for rail in meters.open_meter("pmbus:VINT", Power(), 100)._rails] == ["VINT"]
from pynq import pmbus
pmbus._lib = None
refused("pmbus", "pynq.pmbus finds no rails; this board has none, or libsensors is missing")
print("good")
"""


def test_rails_of_pynq(board, tmp_path):
    (tmp_path / "sensors.c").write_text(SENSORS.replace("#include <stdio.h>", "#include <stdio.h>\n#include <stdlib.h>"))
    library = tmp_path / "libsensors.so"
    subprocess.run(["gcc", "-w", "-shared", "-fPIC", "-o", library, tmp_path / "sensors.c"], check=True)
    values = {"LD_LIBRARY_PATH": str(tmp_path), "SENSORS_VALUES": str(tmp_path / "values"), "PATH": "/usr/bin:/bin"}
    done = board("-c", PMBUS, env=values)
    assert (done.returncode, done.stdout) == (0, "good\n"), done.stderr
