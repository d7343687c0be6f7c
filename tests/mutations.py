"""Damage to files, as Hypothesis strategies, and a bounded sweep over them: what fuzz tests share.

    def test_every_damage_is_told(folder, record_property):
        def check(name, damage):
            with copy_of(folder) as copy:
                damage(copy / name)
                assert program(copy) in ("right", "one sentence, exit code 2")
        sweep(check, 200, record_property, name=sampled_from(FILES), damage=damages())

A damage is called with the path of a file that exists, and prints as what it does. It knows nothing of what it damages.
"""

import io
import json
import os
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

POSITIONS = st.integers(0, 2**32 - 1)  # taken modulo what there is
INPUTS_TRIED = "inputs tried"  # the property in which a sweep records its count


@dataclass(frozen=True)
class Damage:
    """What is done to one file.

    Attributes:
        text: in words.
        act: does it to the file at a path.
    """

    text: str
    act: Callable[[Path], None]

    def __call__(self, path):
        self.act(Path(path))

    def __repr__(self):
        return f"<{self.text}>"


def sweep(check, inputs, record_property, **strategies):
    """Call `check` with what `strategies` give, for `inputs` inputs or fewer where there are no more.

    The inputs are the same in every run. Their count becomes the test's property `INPUTS_TRIED`, which the end of a test run
    prints.

    Args:
        record_property: pytest's fixture of that name.
    """
    tried = 0

    @settings(max_examples=inputs, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(**strategies)
    def every(**drawn):
        nonlocal tried
        tried += 1
        check(**drawn)

    every()
    record_property(INPUTS_TRIED, tried)


# --- any file


def _rewritten(text, change):
    """Damage whose new contents are `change(old bytes)`."""
    return Damage(text, lambda path: replace(path, change(path.read_bytes())))


def replace(path, contents):
    """Put a file of these bytes in the place of what lies there: who has that open, or mapped, keeps it as it was."""
    remove(path)
    path.write_bytes(contents)


def remove(path):
    """Take away whatever lies at a path."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _at(position, data):
    return position % max(len(data), 1)


def _flip(bits):
    def change(data):
        changed = bytearray(data)
        for position, bit in {(_at(bit >> 3, data), bit & 7) for bit in bits} if data else ():
            changed[position] ^= 1 << bit
        return bytes(changed)

    return change


def _overwrite(position, patch):
    return lambda data: data[: _at(position, data)] + patch + data[_at(position, data) + len(patch) :]


def truncations():
    """The file ends early; position 0 empties it."""
    return POSITIONS.map(lambda position: _rewritten(f"cut at byte {position} mod size", lambda data: data[: _at(position, data)]))


def flips():
    """One to eight bits change."""
    return st.lists(POSITIONS, min_size=1, max_size=8).map(lambda bits: _rewritten(f"bits {bits} mod size flipped", _flip(bits)))


def patches():
    """A span is overwritten, from zeros to 64 arbitrary bytes."""
    spans = st.one_of(st.binary(min_size=1, max_size=64), st.integers(1, 4096).map(bytes))
    return st.builds(
        lambda at, patch: _rewritten(f"{patch[:8]!r}… ({len(patch)} bytes) over byte {at} mod size", _overwrite(at, patch)),
        POSITIONS,
        spans,
    )


def tails():
    """Bytes are added at the end."""
    return st.binary(min_size=1, max_size=64).map(lambda tail: _rewritten(f"{tail!r} appended", lambda data: data + tail))


def hollow_npy(shape, descr="|u1", data=b""):
    """An .npy file that claims a shape and type and holds `data`."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue() + data


def _zip(members, method=zipfile.ZIP_DEFLATED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def hollow_png(width, height):
    """A PNG whose header claims a size; its data are zeros for 32 lines at most."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes((3 * width + 1) * min(height, 32))))
        + chunk(b"IEND", b"")
    )


BILLION_LAUGHS = "<!DOCTYPE a [<!ENTITY e0 'ha'>{}]><a>&e9;</a>".format(
    "".join(f"<!ENTITY e{i} '{f'&e{i - 1};' * 10}'>" for i in range(1, 10))
)
GIANT = (10**12, 32, 32, 3)
FOREIGN = {  # name -> contents
    "nothing": b"",
    "text": b"hello\n",
    "zeros": bytes(4096),
    "ones": b"\xff" * 4096,
    "UTF-16": "hello".encode("utf-16"),
    "a web page": b"<!DOCTYPE html><html><body>404 not found</body></html>",
    "an XML bomb": BILLION_LAUGHS.encode(),
    "an empty JSON object": b"{}",
    "a JSON list": b"[1, 2, 3]",
    "the JSON null": b"null",
    "deep JSON": b"[" * 100_000,
    "deep JSON, closed": b"[" * 100_000 + b"]" * 100_000,
    "a JSON number of 100,000 digits": b'{"format": ' + b"9" * 100_000 + b"}",
    "a black PNG": hollow_png(32, 32),
    "a huge PNG": hollow_png(60_000, 60_000),
    "an ELF header": b"\x7fELF\x02\x01\x01" + bytes(57),
    "a gzip": b"\x1f\x8b\x08" + bytes(29),
    "a pickle": b"\x80\x04K\x01.",
    "an empty zip": _zip({}),
    "a zip of text": _zip({"readme.txt": b"hello"}),
    "an .npy": hollow_npy((2, 2), data=bytes(4)),
    "a giant .npy": hollow_npy(GIANT),
    "an .npy of objects": hollow_npy((1,), "|O", b"\x80\x04N."),
    "an .npy of negative shape": hollow_npy((-1, 32, 32, 3)),
    "a giant .npz": _zip({"x.npy": hollow_npy(GIANT), "y.npy": hollow_npy(GIANT[:1], "<i8")}),
    "an .npz that says less than it holds": _zip({"x.npy": hollow_npy((1, 32, 32, 3), data=bytes(10**6))}),
    "an .npz of 32 MB zeros": _zip({"x.npy": hollow_npy((1, 32, 32, 3), data=bytes(2**25))}),
    "an .npz of objects": _zip({"x.npy": hollow_npy((1,), "|O", b"\x80\x04N.")}),
    "an .npz of floats": _zip({"x.npy": hollow_npy((1, 32, 32, 3), "<f8", bytes(8 * 3072))}),
    "a giant .safetensors": struct.pack("<Q", 2**62) + b"{}",
    "a lying .safetensors": struct.pack("<Q", 60) + b'{"x":{"dtype":"F32","shape":[1000000000],"data_offsets":[0,4]}}'[:60],
}


def contents_of(name):
    """The file becomes one of `FOREIGN`."""
    return _rewritten(f"replaced by {name}", lambda _: FOREIGN[name])


def foreign():
    """Other contents: of another kind, or of the kind with a header that claims too much."""
    return st.sampled_from(sorted(FOREIGN)).map(contents_of)


def _instead(make):
    def act(path):
        remove(path)
        make(path)

    return act


def _filled_folder(path):
    path.mkdir()
    (path / "file").write_text("hello")


OTHER_THINGS = {  # name -> what makes it at a path
    "no file": lambda path: None,
    "an empty folder": Path.mkdir,
    "a folder": _filled_folder,
    "a link to itself": lambda path: path.symlink_to(path),
    "a link to nowhere": lambda path: path.symlink_to(path.with_name("nowhere")),
    "a named pipe": os.mkfifo,
}


def thing(name):
    """One of `OTHER_THINGS` lies where the file should."""
    return Damage(f"replaced by {name}", _instead(OTHER_THINGS[name]))


def other_things():
    """No file, a folder, a broken link or a named pipe where the file should be."""
    return st.sampled_from(sorted(OTHER_THINGS)).map(thing)


def damages():
    """Any damage that any file can suffer."""
    return st.one_of(truncations(), flips(), patches(), tails(), foreign(), other_things())


# --- JSON


NUMBERS = [0, -1, 1, 0.5, 1e300, -1e300, 2**31, 2**63, 10**400, float("inf"), float("-inf"), float("nan")]
TEXTS = ["", " ", "x" * 10_000, "\0", "a\nb", "ü€𝄞", "\ud800", "../../etc/passwd", "/etc/passwd", "-1", "0x", "%s{0}"]
OTHER_TYPES = [None, True, False, 0, -1, 1.5, "", "text", [], [[]], {}, {"a": 1}]


def _edits(value):
    """All edits of one JSON value by its type: (words, new value)."""
    edits = [(f"is {other!r}", other) for other in OTHER_TYPES if type(other) is not type(value) or other != value]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        edits += [(f"is {number!r:.40}", number) for number in [*NUMBERS, value + 1, -value]]
    elif isinstance(value, str):
        edits += [(f"is {text!r:.40}", text) for text in [*TEXTS, value[:-1], value + "x", value.upper()]]
    elif isinstance(value, list) and value:
        edits += [
            ("lost its first", value[1:]),
            ("lost its last", value[:-1]),
            ("has its last twice", [*value, value[-1]]),
            ("is reversed", value[::-1]),
        ]
    elif isinstance(value, dict):
        edits += [(f"lost {key!r}", {other: value[other] for other in value if other != key}) for key in value]
        edits += [(f"names {key!r} otherwise", {k + "x" if k == key else k: v for k, v in value.items()}) for key in value]
        edits += [("has one more key", {**value, "unheard of": 1})]
    return edits


def _places(value, place=()):
    """Every place in a JSON value, from the top: tuples of keys and indices."""
    yield place
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inside:
        yield from _places(part, (*place, key))


def _put(value, place, new):
    if not place:
        return new
    copy = value.copy()
    copy[place[0]] = _put(value[place[0]], place[1:], new)
    return copy


def edit_json(value, position, choice):
    """`value` with one edit, and the edit in words: at place number `position`, edit number `choice`, both modulo what there is."""
    places = list(_places(value))
    place = places[position % len(places)]
    old = value
    for key in place:
        old = old[key]
    edits = _edits(old)
    text, new = edits[choice % len(edits)]
    return _put(value, place, new), f"{'/'.join(map(str, place)) or 'the whole'} {text}"


def json_damages(finish=lambda value: value):
    """One edit, by its type, of one value of a JSON file.

    Args:
        finish: called with the edited value before it is written, e.g. to renew a digest that the file carries.
    """

    def damage(position, choice):
        def act(path):
            value, _ = edit_json(json.loads(path.read_text()), position, choice)
            replace(path, json.dumps(finish(value)).encode())

        return Damage(f"JSON place {position}, edit {choice}", act)

    return st.builds(damage, POSITIONS, POSITIONS)
