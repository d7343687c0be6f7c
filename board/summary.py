"""What the windows of a measurement come to: a record `result` for each setting, and the table."""

from typing import Dict, Iterator, List, Optional, Sequence

import numpy as np

from board.meters.trace import RATE

# Student's t for 95 %, two-sided, at 1 to 30 degrees of freedom.
STUDENT = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


def name_of(record: dict) -> str:
    """A setting in a line of text, from its keys in the log."""
    parts = [record["mode"]]
    if record["gates"] == "forced":
        parts.append("gates forced")
    parts += [f"{what}s from {record[f'{what}_threshold']}" for what in ("gate", "layer") if record[f"{what}_threshold"]]
    if record["budget_cycles"] is not None:
        parts.append(f"within {record['budget_cycles']} cycles")
    elif record["confidence"] is not None:
        parts.append(f"confidence {record['confidence']}")
    elif record["exit"] is not None:
        parts.append(f"exit {record['exit']}")
    return ", ".join(parts)


def interval(values: Sequence[float]) -> Dict[str, Optional[float]]:
    """Mean and 95 % interval of the mean."""
    mean, count = float(np.mean(values)), len(values)
    if count < 2:
        return {"mean": mean, "low": None, "high": None}
    half = STUDENT[min(count - 1, len(STUDENT)) - 1] * float(np.std(values, ddof=1)) / count**0.5
    return {"mean": mean, "low": mean - half, "high": mean + half}


def result_of(setting: int, windows: Dict[int, dict], settings: Sequence[dict], whole_tiles: float) -> dict:
    """The record `result` of one setting, but for what is alike in a session.

    The drift of the idle power is taken out: each window's energy is that at the mean idle power of the session, by the idle windows
    before and behind it.

    Args:
        setting: index into `settings`.
        windows: number in the order -> record `window`, complete.
        settings: of the session.
        whole_tiles: tiles of a frame without gates, exits and groups.
    """
    idle = {number: record["joules"] / record["seconds"] for number, record in windows.items() if record["setting"] < 0}
    idle_w = float(np.mean(list(idle.values())))
    mine = {number: record for number, record in windows.items() if record["setting"] == setting}
    energies, above, beside = [], [], []
    for number, record in mine.items():
        near = float(np.mean([idle[at] for at in (number - 1, number + 1) if at in idle]))
        joules = record["joules"] - (near - idle_w) * record["seconds"]
        energies.append(1e3 * joules / record["frames"])
        above.append(1e3 * (record["joules"] - near * record["seconds"]) / record["frames"])
        beside.append(near)
    records = list(mine.values())
    seconds, frames, labelled = (sum(record[key] for record in records) for key in ("seconds", "frames", "labelled"))
    tiles = sum(record["tiles"] for record in records) / frames
    said = settings[setting]
    accuracy = {"accuracy": said["accuracy"], "accuracy_of": None if said["accuracy"] is None else "build"}
    if labelled:
        accuracy = {"accuracy": sum(record["right"] for record in records) / labelled, "accuracy_of": "frames"}
    return {
        **said,
        **accuracy,
        "windows": [[record["seconds"], record["joules"], record["frames"]] for record in records],
        "energy_per_inference_mj": interval(energies),
        "energy_above_idle_mj": float(np.mean(above)),
        "power_w": sum(record["joules"] for record in records) / seconds,
        "idle_w": float(np.mean(beside)),
        "fps": frames / seconds,
        "latency_ms": _mean(records, "latency_ms"),
        "cycles_per_frame": sum(record["cycles"] for record in records) / frames,
        "tiles_per_frame": tiles,
        "computation_saved": 1 - tiles / whole_tiles,
        "temperature_c": _mean(records, "temperature_c"),
        "samples_per_s": _mean(records, "samples_per_s"),
        "sampling_error": _mean(records, "sampling_error"),
        "problems": [problem for record in records for problem in record["problems"]],
    }


def _mean(records, key):
    """Mean of what is known, or None."""
    known = [record[key] for record in records if record[key] is not None]
    return float(np.mean(known)) if known else None


def table(results: List[dict], names: List[str]) -> Iterator[str]:
    """The results as lines of text."""
    first = results[0]
    simulated = "simulated " if first["simulated"] else ""
    windows = len(first["windows"])
    yield (
        f"{first['network']}, {simulated}{first['board']}, {first['clock_mhz']:g} MHz; energy of the whole board, {first['kind']} "
        f"({first['meter']['name']}), {windows} window{'s' * (windows > 1)} each\n"
    )
    width = max(7, *map(len, names))
    yield (
        f"  {'setting':<{width}}  mJ/frame   95 % interval      above idle    W      idle W  frames/s   latency ms  saved %  accuracy\n"
    )
    for name, result in zip(names, results):
        energy = result["energy_per_inference_mj"]
        span = "one window       " if energy["low"] is None else f"{energy['low']:.5f}..{energy['high']:.5f}"
        accuracy = "-" if result["accuracy"] is None else f"{100 * result['accuracy']:.2f}"
        yield (
            f"  {name:<{width}}  {energy['mean']:<9.5f}  {span:<17}  {result['energy_above_idle_mj']:<12.5f}  {result['power_w']:<5.3f}"
            f"  {result['idle_w']:<6.3f}  {result['fps']:<9,.0f}  {result['latency_ms']:<10.3f}"
            f"  {100 * result['computation_saved']:<7.1f}  {accuracy}\n"
        )
    rates = [result["samples_per_s"] for result in results if result["samples_per_s"] is not None]
    if rates and min(rates) < RATE:
        worst = max(result["sampling_error"] for result in results)
        yield f"  the meter gave {min(rates):.0f} samples/s, below {RATE:.0f}: up to ±{100 * worst:.2g} % of the energy beside the intervals\n"
    for problem in dict.fromkeys(problem for result in results for problem in result["problems"]):
        yield f"  {problem}\n"
