"""What Vivado's reports say, as figures for the build's record."""

import re

from flow.errors import GatefoldError

SITES = {"lut": "Slice LUTs", "ff": "Slice Registers", "bram36": "Block RAM Tile", "dsp": "DSPs"}


def utilisation(text):
    """Resources from `report_utilization`.

    Returns:
        lut, ff, dsp (int) and bram36 (float, in halves).

    Raises:
        GatefoldError: a row is missing.
    """
    found = {}
    for kind, site in SITES.items():
        row = re.search(rf"^\|\s*{site}\*?\s*\|\s*([\d.]+)\s*\|", text, re.MULTILINE)
        if row is None:
            raise GatefoldError(f"Vivado's report of the utilisation has no row '{site}'; look into it.")
        found[kind] = float(row[1]) if kind == "bram36" else int(row[1])
    return found


def timing(text):
    """Worst paths from `report_timing_summary`.

    Returns:
        slack_ns and hold_slack_ns (float), failing_end_points and end_points (int).

    Raises:
        GatefoldError: there is no summary.
    """
    header = re.search(r"^ *WNS\(ns\).*\n *-[- ]*\n *(.*)$", text, re.MULTILINE)
    figures = header[1].split() if header else []
    if len(figures) < 8:
        raise GatefoldError("Vivado's report of the timing has no summary; look into it.")
    return {
        "slack_ns": float(figures[0]),
        "hold_slack_ns": float(figures[4]),
        "failing_end_points": int(figures[2]),
        "end_points": int(figures[3]),
    }
