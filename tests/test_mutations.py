"""The damage that fuzz tests do is done, and what they tried is counted."""

import json

import pytest

from tests.mutations import FOREIGN, INPUTS_TRIED, OTHER_THINGS, damages, edit_json, json_damages, remove, sweep

CONTENT = bytes(range(256)) * 8
CONTENTS = {"format": 1, "names": ["a", "b"], "share": 0.5, "known": True, "inside": {"none": None}}


@pytest.fixture
def counted():
    """Stands for record_property: (function, what it recorded)."""
    seen = {}
    return lambda name, value: seen.__setitem__(name, value), seen


def test_damage_changes_a_file_and_is_the_same_in_every_run(tmp_path, counted):
    record, seen = counted
    path = tmp_path / "file"

    def once():
        tried = []

        def check(damage):
            path.write_bytes(CONTENT)
            damage(path)
            tried.append((repr(damage), path.is_file() and path.read_bytes() == CONTENT))
            remove(path)

        sweep(check, 300, record, damage=damages())
        return tried

    first = once()
    assert first == once() and seen[INPUTS_TRIED] == len(first) == 300
    assert sum(same for _, same in first) < 15  # bits that are flipped twice
    said = " ".join(text for text, _ in first)
    assert all(name in said for name in [*OTHER_THINGS, "cut at", "flipped", "appended", " over byte "])
    assert sum(name in said for name in FOREIGN) > len(FOREIGN) / 2


def test_json_edits_reach_every_place_and_type(tmp_path):
    reached, changed = set(), 0
    for position in range(50):
        for choice in range(40):
            edited, words = edit_json(CONTENTS, position, choice)
            reached.add(words.split()[0])
            changed += json.dumps(edited) != json.dumps(CONTENTS)
    assert reached >= {"the", "format", "names", "names/0", "share", "known", "inside", "inside/none"}
    assert changed > 0.95 * 50 * 40


def test_json_damage_is_finished(tmp_path, counted):
    path = tmp_path / "file.json"

    def check(damage):
        path.write_text(json.dumps(CONTENTS))
        damage(path)
        assert json.loads(path.read_text())["finished"] is True

    sweep(check, 50, counted[0], damage=json_damages(lambda value: {"finished": True}))
