"""The guides for a board: every command of ours exists with its options, and prints what the guide says, as far as it runs without a board."""

import re
import shlex

import pytest

from board.mlperf import make_parser as mlperf_parser
from board.run import make_parser as run_parser
from flow.cli import make_parser as gatefold_parser
from tests.board.conftest import ROOT

GUIDES = [ROOT / "docs" / "guide" / name for name in ("bring-up.md", "mlperf.md", "another-network.md", "energy.md")]
PROGRAMS = {"board/run.py": run_parser, "board/mlperf.py": mlperf_parser, "gatefold": gatefold_parser}
MAKE = {"MODEL", "MODE", "COUNT", "BOARD", "HOST", "FOLDER", "CLASSES", "SAMPLES", "CHECKPOINT"}


def commands(text):
    """Words of each command line and of each command in a sentence."""
    lines = [line[4:] for line in text.replace("\\\n", " ").splitlines() if line.startswith("    ")]
    for line in [*lines, *re.findall(r"`([^`\n]+)`", text)]:
        if re.match(r"(sudo -E .*)?(\.venv(-board)?/bin/|python3 board/|make |gatefold (?!begin|end))", line) and "…" not in line:
            yield shlex.split(line)


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
def test_every_command_exists(guide):
    """Parsed by the program that it names; targets and variables of make stand in the Makefile."""
    found = 0
    makefile = (ROOT / "Makefile").read_text()
    for words in commands(guide.read_text()):
        if words[0] == "make":
            assert len(words) == 1 or re.search(rf"^{re.escape(words[1])}:", makefile, re.M) or "BOARDS" in words[1], words
            assert {word.split("=")[0] for word in words[2:]} <= MAKE, words
        else:
            at = next(index for index, word in enumerate(words) if word.endswith(tuple(PROGRAMS)))
            PROGRAMS[next(name for name in PROGRAMS if words[at].endswith(name))]().parse_args(words[at + 1 :])
        found += 1
    assert found >= 3


def test_links_lead_somewhere():
    for guide in GUIDES:
        for link in re.findall(r"\]\(([^)#]+)\)", guide.read_text()):
            assert link.startswith("https://") or (guide.parent / link).resolve().exists(), (guide.name, link)


def test_the_first_run_prints_what_the_guide_shows(build, program):
    """Cycles, times and energy are those of the network, whatever its weights; names of predictions are not."""
    shown = re.search(r"^    (resnet8 in mode full.*?\n)\n", GUIDES[0].read_text(), re.S | re.M)[1]
    printed = program("--board-dir", build / "deploy", "--mode", "full", "--count", 2).out
    expected = [line.strip() for line in shown.splitlines()]
    seen = [line.strip() for line in printed.replace("simulated ", "").splitlines()]
    expected[1] = seen[1] = re.sub(r"predictions .*", "predictions", seen[1])
    assert seen == expected


SENTENCE = re.compile(r"^\| ([^|]+) \|", re.M)


@pytest.mark.parametrize("guide", GUIDES[:2], ids=lambda path: path.name)
def test_sentences_of_the_tables_are_the_programs(guide):
    """What stands under "what you see" is said somewhere in the program, up to the parts that differ."""
    sources = " ".join(path.read_text() for path in (ROOT / "board").glob("*.py"))
    sources = re.sub(r'"\s*\n\s*f?"', "", sources)  # long sentences stand in several strings
    table = guide.read_text().split("| what you see |")[1]
    for cell in SENTENCE.findall(table):
        if cell.startswith(("the runner:", "the board does not", "predictions differ", "---", "/dev/ttyPS0 refuses")):
            continue
        for part in re.split(r"…|\d+ s|\.\.\.", cell.strip("`")):
            words = part.strip(" ;:`").removeprefix("e-[").rstrip("]")
            words = re.sub(r"^(pynq|accelerator\.bit) ", "", words)
            words = re.sub(r"3072$", "", words).strip()
            if words:
                assert words in sources, (cell, words)
