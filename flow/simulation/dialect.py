"""SystemVerilog that Vivado takes and Verilator refuses, said in words that both take.

What is simulated stays the design's own source: only the constructs below are rewritten, each to one with the same
meaning, and every line keeps its number. FINN's library (finn-rtllib) needs all of them.

| construct | rewritten to |
|---|---|
| constant function that returns an unpacked array or structure | the same type, packed |
| constant function under generate, with what it uses | the same, before the outermost generate construct |
| `shortreal`, `$shortrealtobits`, `$bitstoshortreal` | `real` and `gf_float::` (rtl/gf_float.sv), which round to single precision |
| `$error` and its kin with fewer arguments than its format asks for | zeros for those that are missing |
| `int unsigned` array parameter sized by a parameter without default | a vector of 16 numbers |
| other array parameter without default, and its size | with a default, which every instance overrides |
| cast between unpacked array and packed vector | streaming operator |
| `x[0+:n] != 0`, where n may be zero | `x` and a mask of n ones |
| `initial @(posedge x) …`, `initial forever #…` | `always @(posedge x) …`, nothing |
"""

import re
from dataclasses import dataclass
from pathlib import Path

from flow.errors import GatefoldError

FLOAT_PACKAGE = Path(__file__).parent / "rtl" / "gf_float.sv"

_COMMENT = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.S)
_TYPEDEF = re.compile(r"\btypedef\b")
_FUNCTION = re.compile(
    r"\bfunction\s+(?:automatic\s+)?(?P<type>[\w:]+)\s+(?P<name>\w+)\s*\(.*?\bendfunction\b(?:\s*:\s*\w+)?", re.S
)
_CONSTANT = re.compile(r"\blocalparam\s+(?P<type>\w+)\s+(?P<name>\w+)\s*=\s*(?P<function>\w+)\s*\(")
_DIMENSION = r"\[(?:[^\[\];{}]|\[[^\[\]]*\])*\]"
_TOKEN = re.compile(
    r"\b(?:module|endmodule|begin|end|case|casez|casex|endcase|function|endfunction|generate|endgenerate|else)\b|[();]"
)


def dimension_parameters(text: str) -> dict[str, set[str]]:
    """Module -> its array parameters of whole numbers that are sized by a parameter without default."""
    found = {}
    for module, _, parts in _headers(_blank(text)):
        scalars = {name for name, _, size, bare in map(_parameter, parts) if bare and not size}
        arrays = {
            name for name, kind, size, _ in map(_parameter, parts)
            if kind == "int unsigned" and re.fullmatch(r"\[\s*\w+\s*\]", size) and size.strip("[] ") in scalars
        }  # fmt: skip
        if arrays:
            found[module] = arrays
    return found


def rewrite(text: str, name: str, dimensions: dict[str, set[str]] | None = None) -> str:
    """The source of one file as Verilator reads it.

    Args:
        name: path, for error messages.
        dimensions: `dimension_parameters` of all files of the design.

    Raises:
        GatefoldError: single-precision arithmetic whose roundings cannot be kept.
    """
    text = _floats(text, name)
    text = _message_arguments(text)
    text = _events_in_initial(text)
    text = _dimensions_packed(text, dimensions if dimensions is not None else dimension_parameters(text))
    text = _parameters_without_default(text)
    text = _bit_stream_casts(text)
    text = _substitute(r"\b(\w+)\[0\s*\+:([^\[\]]*[A-Za-z_][^\[\]]*)\]\s*!=\s*0", r"(\1 & ~({$bits(\1){1'b1}} << (\2))) != 0", text)
    text = _packed_constants(text)
    return _functions_out_of_generate(text)


def modules_of(text: str) -> dict[str, str]:
    """Name -> text without comments and spaces, of every module, package and interface of a file."""
    code = _COMMENT.sub(lambda match: match[0] if match[0][0] == '"' else " ", text)
    pattern = r"^\s*(module|package|interface)\s+(?:automatic\s+|static\s+)?(\w+)\b.*?\bend\1\b"
    return {match[2]: re.sub(r"\s*(\W)\s*", r"\1", " ".join(match[0].split())) for match in re.finditer(pattern, code, re.M | re.S)}


def uses_floats(text: str) -> bool:
    """Whether `rewrite` leaves calls into `gf_float.sv`."""
    return "gf_float::" in text


def _blank(text: str) -> str:
    """The text with comments and strings blanked, at the same offsets."""
    return _COMMENT.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)


def _closing(text: str, start: int) -> int:
    """Offset behind the bracket that closes the one at `start`."""
    depth = 0
    for at in range(start, len(text)):
        depth += text[at] in "([{"
        depth -= text[at] in ")]}"
        if not depth:
            return at + 1
    return len(text)


def _substitute(pattern: str, replacement, text: str) -> str:
    """`re.sub` on what is neither comment nor string."""
    code, parts, last = _blank(text), [], 0
    for match in re.finditer(pattern, code, re.S):
        parts += [text[last : match.start()], replacement(match) if callable(replacement) else match.expand(replacement)]
        last = match.end()
    return "".join([*parts, text[last:]])


# Single precision. Sums, differences, products and quotients of two single-precision numbers, computed in double and
# rounded once more, are the rounded exact result (53 >= 2 * 24 + 2 bits: Figueroa, "When is double rounding
# innocuous?", 1995). Two operations in one expression would round too late.


def _floats(text: str, name: str) -> str:
    code = _blank(text)
    if not re.search(r"shortreal", code):
        return text
    for match in re.finditer(r"\$shortrealtobits\s*\(", code):
        inner = code[match.end() : _closing(code, match.end() - 1) - 1]
        while (call := re.search(r"\$bitstoshortreal\s*\(", inner)) is not None:
            inner = inner[: call.start()] + "x" + inner[_closing(inner, call.end() - 1) :]
        while (index := re.search(r"\[", inner)) is not None:
            inner = inner[: index.start()] + inner[_closing(inner, index.start()) :]
        if len(re.findall(r"[-+*/]", re.sub(r"\d[eE][-+]", "", inner).lstrip(" -"))) > 1:
            raise _refused(name, code, match.start(), "several operations in one expression")
    for match in re.finditer(r"\bshortreal\b", code):
        before = re.split(r"[;]|\bbegin\b", code[: match.start()])[-1]
        header = "(" in before and re.search(r"#\s*\(", before) is not None
        if not header and not re.search(r"\b(?:local)?param(?:eter)?\s*$", before):
            raise _refused(name, code, match.start(), "a variable")
    text = _substitute(r"\bshortreal\b", "real", text)
    text = _substitute(r"\$shortrealtobits\b", "gf_float::to_bits", text)
    return _substitute(r"\$bitstoshortreal\b", "gf_float::to_real", text)


def _refused(name: str, code: str, at: int, what: str) -> GatefoldError:
    return GatefoldError(
        f"{name}:{code.count(chr(10), 0, at) + 1} uses shortreal for {what}, whose roundings Verilator cannot keep; "
        f"give every operation its own $shortrealtobits."
    )


def _message_arguments(text: str) -> str:
    code, parts, last = _blank(text), [], 0
    for match in re.finditer(r"\$(?:error|fatal|warning|info|display)\s*\(", code):
        end = _closing(code, match.end() - 1) - 1
        call = text[match.end() : end]
        form = re.search(r'"((?:\\.|[^"\\])*)"', call)
        if form is None:
            continue
        wanted = len(re.findall(r"%[-0-9.]*[a-zA-Z]", re.sub(r"%%|%[mMlL]", "", form[1])))
        rest = _blank(call)[form.end() :].strip()
        given = len(_split(rest.lstrip(","))) if rest else 0
        if wanted > given:
            parts += [text[last:end], ", 0" * (wanted - given)]
            last = end
    return "".join([*parts, text[last:]])


def _split(code: str) -> list[str]:
    """The parts between commas outside brackets."""
    parts, depth, last = [], 0, 0
    for at, char in enumerate(code):
        depth += char in "([{"
        depth -= char in ")]}"
        if char == "," and not depth:
            parts.append(code[last:at])
            last = at + 1
    return [*parts, code[last:]]


def _events_in_initial(text: str) -> str:
    text = _substitute(r"\binitial(\s+@\s*\(\s*(?:pos|neg)edge\b)", r"always\1", text)
    return _substitute(r"\binitial\s+forever\s+#[\w.]+\s*;", "", text)


def _headers(code: str):
    """(module, offset of its first parameter, parameters between the commas) of every module with parameters."""
    for match in re.finditer(r"\bmodule\s+(\w+)\s*(?:import\s[^;]*;\s*)*#\s*\(", code):
        yield match[1], match.end(), _split(code[match.end() : _closing(code, match.end() - 1) - 1])


def _parameter(part: str) -> tuple[str, str, str, bool]:
    """(name, type, dimensions behind the name, has no default) of one parameter declaration."""
    found = re.fullmatch(r"\s*(?:parameter\s+)?(.*?)\b(\w+)\s*((?:\[[^=]*\])?)\s*(=.*)?", part, re.S)
    return (found[2], " ".join(found[1].split()), found[3], not found[4]) if found else ("", "", "", False)


_MOST_DIMENSIONS = 16


def _dimensions_packed(text: str, dimensions: dict[str, set[str]]) -> str:
    """Array parameters of `dimension_parameters` as one vector of 16 numbers, in their modules and their instances.

    Verilator sizes the values of an instance by the default of the size, which there is none of.
    """
    packed = f"bit [0:{_MOST_DIMENSIONS - 1}][31:0]"
    for module, _, parts in list(_headers(_blank(text))):
        arrays = dimensions.get(module, set())
        sizes = {size for name, _, size, _ in map(_parameter, parts) if name in arrays}
        for size in sizes:
            pattern = rf"(\btypedef\s+)?\bint\s+unsigned(\s+)(\w+)\s*{re.escape(size)}"
            text = _substitute(pattern, lambda m: f"{m[1] or ''}{packed}{m[2]}{m[3]}", text)
    for module, arrays in dimensions.items():
        for match in reversed(list(re.finditer(rf"\b{module}\s*#\s*\(", _blank(text)))):
            if re.search(r"\bmodule\s+$", _blank(text)[: match.start()]):
                continue
            end = _closing(_blank(text), match.end() - 1)
            for value in reversed(list(re.finditer(r"\.\s*(\w+)\s*\(\s*'\{", text[match.end() : end]))):
                if value[1] in arrays:
                    first = match.end() + value.end() - 1
                    last = _closing(text, first)
                    numbers = [f"32'({number.strip()})" for number in _split(text[first + 1 : last - 1])]
                    rest = _MOST_DIMENSIONS - len(numbers)
                    text = f"{text[: first - 1]}{{ {', '.join(numbers)}, {32 * rest}'d0 }}{text[last:]}"
    return text


def _parameters_without_default(text: str) -> str:
    edits = []
    for _, start, parts in _headers(_blank(text)):
        sizes = " ".join(size for _, _, size, _ in map(_parameter, parts))
        at = start
        for part in parts:
            behind, at = at + len(part.rstrip()), at + len(part) + 1
            name, kind, size, bare = _parameter(part)
            if bare and size:
                edits.append((behind, f" = '{{ default: {'0.0' if 'real' in kind else '0'} }}"))
            elif bare and name and re.search(rf"\b{name}\b", sizes):
                edits.append((behind, " = 1"))
    for at, addition in reversed(edits):
        text = text[:at] + addition + text[at:]
    return text


@dataclass(frozen=True)
class _Type:
    """A `typedef` of the file: its base, the dimensions behind its name, its place."""

    name: str
    base: str
    dimensions: str
    start: int
    end: int

    @property
    def structure(self) -> bool:
        return re.match(r"struct\b", self.base) is not None

    @property
    def unpacked(self) -> bool:
        return bool(self.dimensions) or (self.structure and "packed" not in self.base.split("{")[0])


def _types(code: str) -> list[_Type]:
    types = []
    for match in _TYPEDEF.finditer(code):
        at = match.end()
        while code[at] != ";":
            at = _closing(code, at) if code[at] in "([{" else at + 1
        found = re.fullmatch(rf"\s*(.*?)\b(\w+)\s*((?:{_DIMENSION}\s*)*)", code[match.end() : at], re.S)
        if found:
            types.append(_Type(found[2], found[1].strip(), found[3].strip(), match.start(), at + 1))
    return types


def _bit_stream_casts(text: str) -> str:
    types = _types(_blank(text))
    vectors = {kind.name for kind in types if not kind.unpacked}
    arrays = {kind.name for kind in types if kind.dimensions}
    values = {
        match[2]
        for match in re.finditer(r"\b(\w+)\s+(\w+)\s*[;=]", _blank(text))
        if match[1] in arrays
    }  # fmt: skip

    def cast(match):
        if match[1] in arrays or (match[1] in vectors and match[2] in values):
            return f"{{>>{{{match[2]}}}}}"
        return match[0]

    return _substitute(r"\b(\w+)'\((\w+)\)", cast, text)


def _packed_constants(text: str) -> str:
    """Pack the unpacked types that functions return, as far as Verilator cannot compute with them.

    These are structures, arrays of unpacked types, and arrays of functions under generate.
    """
    code = _blank(text)
    types, places = _types(code), _generate_places(code)
    wanted = [(match["type"], places(match.start()) is not None) for match in _FUNCTION.finditer(code)]
    chosen = set()
    while wanted:
        name, generated = wanted.pop()
        for kind in types:
            nested = any(other.name == kind.base and other.unpacked for other in types)
            if kind.name == name and kind.unpacked and kind not in chosen and (generated or nested or not kind.dimensions):
                chosen.add(kind)
                wanted += [(word, generated) for word in re.findall(r"\w+", kind.base)]
    for kind in sorted(chosen, key=lambda kind: -kind.start):
        text = text[: kind.start] + _packed(kind, text[kind.start : kind.end]) + text[kind.end :]
    return text


def _packed(kind: _Type, text: str) -> str:
    if not kind.dimensions:
        return re.sub(r"\bstruct\b", "struct packed", text, count=1)
    ranges = []
    for size in (dimension[1:-1] for dimension in re.findall(_DIMENSION, kind.dimensions)):
        ranges.append(f"[{size}]" if ":" in size else f"[0:({size})-1]")
    base = re.sub(r"\bint\s+unsigned\b", "bit [31:0]", kind.base)
    base = re.sub(r"\bint\b", "bit signed [31:0]", base)
    lines = "\n" * text.count("\n")
    if base == kind.base and re.fullmatch(r"\w+", base):
        return f"typedef {base} {''.join(ranges)} {kind.name};{lines}"
    element = f"{kind.name}_element"
    return f"typedef {base} {element}; typedef {element} {''.join(ranges)} {kind.name};{lines}"


def _functions_out_of_generate(text: str) -> str:
    code = _blank(text)
    places = _generate_places(code)
    used_as_constant = {match["function"] for match in _CONSTANT.finditer(code)}
    moved: dict[tuple[int, int], int] = {}
    for function in _FUNCTION.finditer(code):
        place = places(function.start())
        if place is None or function["name"] not in used_as_constant:
            continue
        moved[function.span()] = place
        needed, seen = set(re.findall(r"\w+", function[0])), set()
        declarations = _declarations(code, place, function.start())
        while more := {name for name in needed & declarations.keys() if name not in seen}:
            seen |= more
            for name in more:
                moved[declarations[name]] = place
                needed |= set(re.findall(r"\w+", code[slice(*declarations[name])]))
    if not moved:
        return text
    pieces = {place: [] for place in moved.values()}
    for (start, end), place in sorted(moved.items()):
        pieces[place].append(re.sub(r"\s*\n\s*", " ", _COMMENT.sub(lambda m: m[0] if m[0][0] == '"' else " ", text[start:end])))
    edits = [(start, end, "\n" * text.count("\n", start, end)) for start, end in moved]
    edits += [(place, place, " " + " ".join(parts) + " ") for place, parts in pieces.items()]
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _declarations(code: str, start: int, end: int) -> dict[str, tuple[int, int]]:
    """Name -> span of the parameters and types declared between the offsets."""
    found = {}
    for match in re.finditer(r"\blocalparam\b[^;=]*?\b(\w+)\s*(?:\[[^;=]*\]\s*)?=[^;]*;", code[start:end]):
        found[match[1]] = (start + match.start(), start + match.end())
    for kind in _types(code):
        if start <= kind.start < end:
            found[kind.name] = (kind.start, kind.end)
    return found


def _generate_places(code: str):
    """Function: offset -> the end of the module item before the outermost generate construct around it, or None."""
    spans, depth, brackets, boundary, outer = [], 0, 0, 0, 0
    tokens = list(_TOKEN.finditer(code))
    for index, token in enumerate(tokens):
        word = token[0]
        if word in "()":
            brackets += 1 if word == "(" else -1
        elif word in ("begin", "case", "casez", "casex", "generate", "function"):
            if not depth:
                outer = boundary
                opened = token.start()
            depth += 1
        elif word in ("end", "endcase", "endgenerate", "endfunction"):
            depth -= 1
            if not depth:
                label = re.match(r"\s*:\s*\w+", code[token.end() :])
                end = token.end() + (label.end() if label else 0)
                spans.append((opened, end, outer))
                following = tokens[index + 1][0] if index + 1 < len(tokens) else ""
                if following != "else" or code[end : tokens[index + 1].start()].strip():
                    boundary = end
        elif word == ";" and not depth and not brackets:
            boundary = token.end()

    def place(offset: int) -> int | None:
        return next((before for start, end, before in spans if start < offset < end), None)

    return place
