"""Runs a test of MLCommons' own runner against a port: python mlperf_runner.py PORT MODE DATASETS RESULT, with its folder in PYTHONPATH.

The runner finds a device by its USB numbers, which a pseudo-terminal has not, so its parts are put together here: its device under
test, its script of the mode (p or a), its data set. RESULT gets what the script returns, as JSON.
"""

import json
import sys
from pathlib import Path

import device_under_test
import script
import yaml
from datasets import DataSet

port, mode, folder, result = sys.argv[1:]
name = {"p": "tests_performance.yaml", "a": "tests_accuracy.yaml"}[mode]
tests = yaml.safe_load((Path(script.__file__).parent / name).read_text())
device = device_under_test.DUT(port, 115200)
with device:
    assert device.get_name() is not None and device.get_profile() is not None
    test = script.Script(tests[device.get_model()])
    found = test.run(None, device, DataSet(str(Path(folder) / test.model), test.truth), mode)
Path(result).write_text(json.dumps({"name": device.get_name(), "model": device.get_model(), "found": found}))
