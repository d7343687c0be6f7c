import pytest

from flow.engine.interface import load_interface, package_text
from flow.errors import GatefoldError


def test_descriptor_fields_survive_packing():
    interface = load_interface()
    fields = {name: (1 << width) - 1 if index % 2 else 1 for index, (name, width) in enumerate(interface.descriptor)}
    assert interface.unpack_descriptor(interface.pack_descriptor(**fields)) == fields


def test_descriptor_refuses_a_value_that_does_not_fit():
    with pytest.raises(GatefoldError, match="in_count"):
        load_interface().pack_descriptor(in_count=512)


def test_record_is_padded_and_signed():
    interface = load_interface()
    assert interface.record_words(10) == 32 and interface.record_words(25) == 64
    words = [7, 1, 0, 2, 99, 50, 0, 0, 0xFFFFFFFF, 5, 0x80000000, *[0] * 21]
    fields = {"frame": 7, "mode": 1, "class": 2, "cycles": 99, "tiles": 50}
    assert interface.pack_record([-1, 5, -(1 << 31)], **fields) == words
    named, logits = interface.unpack_record(words, 3)
    assert logits == [-1, 5, -(1 << 31)]
    assert (named["frame"], named["mode"], named["class"], named["cycles"], named["tiles"]) == (7, 1, 2, 99, 50)


def test_package_lists_kind_last():
    """A packed struct's last member has the lowest bits."""
    body = package_text().split("typedef struct packed {")[1].split("}")[0]
    assert body.strip().splitlines()[-1].split()[-1] == "kind;"
    widths = [int(line.split("[")[1].split(":")[0]) + 1 if "[" in line else 1 for line in body.strip().splitlines()]
    assert sum(widths) == load_interface().descriptor_width
