"""The rules of buses: lawful traffic passes, and each breach of a rule ends the simulation with its sentence."""

import pytest

from flow.simulation.checks import CHECKS
from flow.simulation.compile import compile_model
from flow.simulation.library import Model, RtlSimError

RULES = [CHECKS / f"{name}.sv" for name in ("after_reset", "handshake_rules", "burst_rules", "axi4_rules", "axi_lite_rules")]
MAX_BEATS, OUTSTANDING = 4, 2


@pytest.fixture(scope="module")
def axi4():
    parameters = {"ID": 2, "MAX_BEATS": MAX_BEATS, "OUTSTANDING": OUTSTANDING}
    return compile_model("axi4_rules", RULES, parameters=parameters)


@pytest.fixture(scope="module")
def axi_lite():
    return compile_model("axi_lite_rules", RULES)


def play(library, cycles):
    """Run after a reset: in each cycle the ports of its dictionary have their values, and all others are zero."""
    with Model(library, clock="clk", reset="rst_n") as model:
        model.cycles(1)
        model.write("rst_n", 1)
        inputs = [name for name, port in model.ports.items() if not port.output and name not in ("clk", "rst_n")]
        for cycle in [{}, *cycles, {}]:
            for name in inputs:
                model.write(name, cycle.get(name, 0))
            model.write("rst_n", cycle.get("rst_n", 1))
            model.cycles(1)


def aw(taken=1, **changes):
    return {"awvalid": 1, "awready": taken, "awaddr": 0x80, "awlen": 1, "awsize": 3, "awburst": 1, "awid": 2, **changes}


def ar(taken=1, **changes):
    return {"arvalid": 1, "arready": taken, "araddr": 0x80, "arlen": 1, "arsize": 3, "arburst": 1, "arid": 1, **changes}


def w(taken=1, last=0, **changes):
    return {"wvalid": 1, "wready": taken, "wdata": 5, "wstrb": 255, "wlast": last, **changes}


def b(taken=1, **changes):
    return {"bvalid": 1, "bready": taken, "bid": 2, **changes}


def r(taken=1, last=0, **changes):
    return {"rvalid": 1, "rready": taken, "rdata": 7, "rlast": last, "rid": 1, **changes}


WRITE = [aw(), w(), w(last=1), {}, b()]
READ = [ar(), {}, r(), r(last=1)]
BEFORE = {"aw": [], "w": [], "b": WRITE[:4], "ar": [], "r": READ[:2]}
OFFER = {"aw": aw, "w": w, "b": b, "ar": ar, "r": r}


@pytest.mark.parametrize(
    "cycles",
    [
        WRITE,
        [aw(0), aw(1), w(0), w(0), w(1), w(0, last=1), w(1, last=1), {}, b(0), b(0), b(1)],
        [w(), w(last=1), {}, aw(), {}, b()],
        [{**aw(), **w()}, w(last=1), aw(awlen=0), w(last=1), {}, b(), b()],
        READ,
        [ar(0), ar(1), ar(arlen=0, arid=3), r(0), r(1), r(0, last=1), r(1, last=1), r(last=1, rid=3)],
        [ar(araddr=4096 - 8 * MAX_BEATS, arlen=MAX_BEATS - 1), *[r()] * (MAX_BEATS - 1), r(last=1)],
        [ar(0), {"rst_n": 0}, {}],
    ],
)
def test_lawful_traffic_passes(axi4, cycles):
    play(axi4, cycles)


@pytest.mark.parametrize("channel", OFFER)
@pytest.mark.parametrize(
    "breach, sentence",
    [
        (lambda offer: [offer(0), {}], "withdrawn before it is taken"),
        (lambda offer: [{"rst_n": 0}, {"rst_n": 0, **offer(0)}, offer(0)], "made in reset"),
    ],
)
def test_offers_stay(axi4, channel, breach, sentence):
    with pytest.raises(RtlSimError, match=rf"{sentence} \(\S*\.{channel}\."):
        play(axi4, BEFORE[channel] + breach(OFFER[channel]))


@pytest.mark.parametrize(
    "field, bit",
    [
        ("awid", 1), ("awaddr", 8), ("awlen", 2), ("wdata", 1 << 63), ("wstrb", 128), ("wlast", 1), ("bresp", 2), ("arid", 1), ("araddr", 8),
        ("arlen", 2), ("rdata", 1 << 63), ("rresp", 2),
    ],
)  # fmt: skip
def test_offers_do_not_change(axi4, field, bit):
    channel = field[:2] if field[:2] in OFFER else field[0]
    offer = OFFER[channel](0)
    with pytest.raises(RtlSimError, match=rf"changes before it is taken \(\S*\.{channel}\."):
        play(axi4, [*BEFORE[channel], offer, {**offer, field: offer.get(field, 0) ^ bit}])


@pytest.mark.parametrize("request_of", [aw, ar])
@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"len": MAX_BEATS}, "longer than 4 beats"),
        ({"len": 255}, "longer than 4 beats"),
        ({"addr": 4096 - 8, "len": 1}, "crosses 4 KiB"),
        ({"addr": 3 * 4096 - 8 * MAX_BEATS + 8, "len": MAX_BEATS - 1}, "crosses 4 KiB"),
        ({"size": 4}, "a size or kind that the bus does not have"),
        ({"burst": 3}, "a size or kind that the bus does not have"),
        ({"size": 2}, "whole, aligned beats"),
        ({"burst": 0}, "whole, aligned beats"),
        ({"addr": 0x84}, "whole, aligned beats"),
    ],
)
def test_shape_of_bursts(axi4, request_of, changes, sentence):
    channel = request_of.__name__
    with pytest.raises(RtlSimError, match=sentence):
        play(axi4, [request_of(**{channel + name: value for name, value in changes.items()})])


@pytest.mark.parametrize(
    "cycles, sentence",
    [
        ([aw(), w(last=1)], "the last beat of a write is in the wrong place"),
        ([aw(), w(), w(), w(last=1)], "the last beat of a write is in the wrong place"),
        ([w(), w(), w(last=1), aw()], "the last beat of a write is in the wrong place"),
        ([w()] * (MAX_BEATS + 1), "a write goes on after 4 beats"),
        ([aw(awlen=0), *[w(last=1)] * (OUTSTANDING + 1)], "more than 2 writes"),
        ([aw(awlen=0)] * (OUTSTANDING + 1), "more than 2 writes"),
        ([ar()] * (OUTSTANDING + 1), "more than 2 reads"),
        ([b()], "a write is answered before it is complete"),
        ([aw(), w(), b()], "a write is answered before it is complete"),
        ([aw(), w(), {**w(last=1), **b()}], "a write is answered before it is complete"),
        ([w(), w(last=1), {**aw(), **b()}], "a write is answered before it is complete"),
        ([*WRITE, b()], "a write is answered before it is complete"),
        ([*WRITE[:4], b(bid=1)], "the answer of a write carries another identifier"),
        ([r()], "a read is answered before it is asked for"),
        ([{**ar(), **r()}], "a read is answered before it is asked for"),
        ([*READ, r(last=1)], "a read is answered before it is asked for"),
        ([ar(), r(last=1)], "the last beat of a read is in the wrong place"),
        ([ar(), r(), r()], "the last beat of a read is in the wrong place"),
        ([ar(), r(rid=0)], "the answer of a read carries another identifier"),
    ],
)
def test_order(axi4, cycles, sentence):
    with pytest.raises(RtlSimError, match=sentence):
        play(axi4, cycles)


LITE_WRITE = [{"awvalid": 1, "awready": 1}, {"wvalid": 1, "wready": 1}, {}, {"bvalid": 1, "bready": 1}]
LITE_READ = [{"arvalid": 1, "arready": 1}, {}, {"rvalid": 1, "rready": 1}]


@pytest.mark.parametrize("cycles", [LITE_WRITE, [LITE_WRITE[1], LITE_WRITE[0], {"bvalid": 1}, LITE_WRITE[3]], LITE_READ])
def test_lawful_register_accesses_pass(axi_lite, cycles):
    play(axi_lite, cycles)


@pytest.mark.parametrize(
    "cycles, sentence",
    [
        ([{"awvalid": 1, "awaddr": 4}, {"awvalid": 1, "awaddr": 8}], r"changes before it is taken \(\S*\.aw\."),
        ([{"wvalid": 1, "wdata": 4}, {"wvalid": 1, "wdata": 8}], r"changes before it is taken \(\S*\.w\."),
        ([{"wvalid": 1, "wstrb": 4}, {"wvalid": 1, "wstrb": 8}], r"changes before it is taken \(\S*\.w\."),
        ([*LITE_WRITE[:3], {"bvalid": 1}, {"bvalid": 1, "bresp": 2}], r"changes before it is taken \(\S*\.b\."),
        ([{"arvalid": 1}, {}], r"withdrawn before it is taken \(\S*\.ar\."),
        ([*LITE_READ[:2], {"rvalid": 1}, {"rvalid": 1, "rdata": 1}], r"changes before it is taken \(\S*\.r\."),
        ([*LITE_READ[:2], {"rvalid": 1}, {"rvalid": 1, "rresp": 1}], r"changes before it is taken \(\S*\.r\."),
        (LITE_WRITE[:1] + LITE_WRITE[3:], "a write is answered before its address and data are taken"),
        (LITE_WRITE[1:2] + LITE_WRITE[3:], "a write is answered before its address and data are taken"),
        ([*LITE_WRITE, LITE_WRITE[3]], "a write is answered before its address and data are taken"),
        (LITE_READ[2:], "a read is answered before it is asked for"),
        ([*LITE_READ, LITE_READ[2]], "a read is answered before it is asked for"),
    ],
)
def test_register_accesses(axi_lite, cycles, sentence):
    with pytest.raises(RtlSimError, match=sentence):
        play(axi_lite, cycles)
