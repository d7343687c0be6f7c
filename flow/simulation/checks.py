"""The contracts of `hw/checks`: checker modules that every simulation binds beside the modules they watch."""

import re
from collections.abc import Iterable
from pathlib import Path

CHECKS = Path(__file__).resolve().parents[2] / "hw" / "checks"
_BIND = re.compile(r"^bind (\w+)", re.MULTILINE)


def with_checks(files: Iterable[Path]) -> list[Path]:
    """The files, and behind them the checkers of those modules that are among them (a module's file has its name)."""
    files = list(files)
    modules = {file.stem for file in files}
    targets = {file: set(_BIND.findall(file.read_text())) for file in sorted(CHECKS.glob("*.sv"))}
    bound = [file for file, target in targets.items() if target & modules]
    rules = [file for file, target in targets.items() if not target]
    return [*files, *rules, *bound] if bound else files
