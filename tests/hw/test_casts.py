"""No sized cast of an expression that can grow: tools disagree on the width in which it is computed.

IEEE 1800-2017 (6.24.1) makes the operand of a cast self-determined and also says that the result is what a variable of that width
would hold after the assignment; for a product of two narrow signals the two differ in the upper half. An assignment to a signal of
the wanted width has one meaning. `$signed` and `$unsigned` are casts too; constants are 32 bits wide wherever they stand.
"""

import re
from pathlib import Path

import pytest

HW = Path(__file__).resolve().parents[2] / "hw"
FILES = sorted([*HW.rglob("*.sv"), *HW.rglob("*.v"), *Path(__file__).parent.rglob("*.sv")])
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
CAST = re.compile(r"(?:\w+'|\)'|\$signed|\$unsigned)\(")
GROWS = re.compile(r"\*|\+|-|<<")
CONSTANT = re.compile(r"\d*'s?[bdh][\da-fA-FxzXZ_]+|\b\d+\b|\b[A-Z][A-Z\d_]*\b|\$(?:bits|clog2)")


def matching(text, start):
    """Index of the bracket that closes the one at `start`."""
    depth = 0
    for index in range(start, len(text)):
        depth += (text[index] in "([{") - (text[index] in ")]}")
        if depth == 0:
            return index
    raise ValueError("unbalanced brackets")


def operands(expression):
    """`expression` without what is self-determined in it: indices, concatenations, arguments of functions and casts."""
    kept, index = "", 0
    while index < len(expression):
        character = expression[index]
        call = character == "(" and re.search(r"[\w'$]$", kept)
        if character in "[{" or call:
            index = matching(expression, index)
            kept += "_"
        else:
            kept += character
        index += 1
    return kept


def growing_casts(text):
    """(line, cast) of every cast of a product, sum, difference or left shift with a signal in it."""
    text = COMMENT.sub(lambda comment: re.sub(r"[^\n]", " ", comment[0]), text)
    for cast in CAST.finditer(text):
        end = matching(text, cast.end() - 1)
        kept = operands(text[cast.end() : end])
        if GROWS.search(kept) and re.search(r"[A-Za-z_]", CONSTANT.sub("", kept)):
            yield text.count("\n", 0, cast.start()) + 1, " ".join(text[cast.start() : end + 1].split())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_cast_of_an_expression_that_grows(file):
    found = [f"line {line}: {cast}" for line, cast in growing_casts(file.read_text())]
    assert not found, f"{file}: assign to a signal of the wanted width instead: {found}"


@pytest.mark.parametrize(
    "text, forbidden",
    [
        ("a <= 19'(b * c);", True),
        ("a <= 19'($signed(b) * $signed({1'b0, c[i]}));", True),
        ("a <= WIDTH'((b * 3) >> 2);", True),
        ("a <= ($bits(a))'(b + 1'b1);", True),
        ("a <= 8'(-b);", True),
        ("a <= 8'(b << 1);", True),
        ("a <= $signed(b * c) + d;", True),
        ("a <= 32'(BURST * 8) + 5'(2 * WORDS - 1);", False),
        ("a <= 9'(b[2*t+:4]) + 9'({c + d, 1'b0});", False),
        ("a <= 9'(f(b * c));", False),
        ("a <= 8'(b >> 1); // 8'(b * c)", False),
        ("a <= b * c; /* 8'(b * c) */", False),
    ],
)
def test_rule(text, forbidden):
    assert bool(list(growing_casts(text))) == forbidden
