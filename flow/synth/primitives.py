"""What each primitive does to time: ways through it, clock to output, set-up times; the figures are those of delays.py."""

import functools
from dataclasses import dataclass

from flow.errors import GatefoldError
from flow.synth import delays


@dataclass(frozen=True)
class Cell:
    """What a cell does to time. A pin is (port, bit), or (port, None) for every bit of the port.

    Attributes:
        arcs: (input pin, output pin, ns), without a register between.
        launches: (output pin, ns): clock to output.
        setups: (input pin, ns): before the clock.
        inner: slowest way between two registers inside, ns; 0 where there is none.
    """

    arcs: tuple = ()
    launches: tuple = ()
    setups: tuple = ()
    inner: float = 0.0


def known(kind: str) -> bool:
    """Whether it is a primitive of the part."""
    return kind in _FIXED or kind in _MADE


def cell(kind: str, parameters: dict[str, str], ports: dict[str, str]) -> Cell:
    """Cell of a primitive.

    Args:
        kind: its type, for example "FDRE".
        parameters: name -> value, as yosys' `write_json` gives them (integers as strings of bits).
        ports: port -> "input" or "output", of the ports that are connected to more than constants.

    Raises:
        GatefoldError: the table lacks it.
    """
    if kind in _FIXED:
        return _FIXED[kind]
    if kind not in _MADE:
        raise GatefoldError(f"the netlist holds a cell {kind} without delays; add it to flow/synth/primitives.py.")
    make, names = _MADE[kind]
    wanted = tuple((name, parameters[name]) for name in names if name in parameters)
    return _made(make, wanted, tuple(sorted(ports.items())))


@functools.cache
def _made(make, parameters, ports):
    return make({name: int(text, 2) if set(text) <= {"0", "1"} else text.strip() for name, text in parameters}, dict(ports))


def _all(port):
    return port, None


def _numbered(prefix, count):
    return [f"{prefix}{index}" for index in range(count)]


def _lut(inputs):
    return Cell(arcs=tuple((_all(f"I{index}"), _all("O"), delays.LUT) for index in range(inputs)))


def _carry():
    arcs = []
    for pin, row in delays.CARRY.items():
        start = (pin[:-1], int(pin[-1])) if pin[-1].isdigit() else _all(pin)
        for output, delay in zip(delays.CARRY_OUTPUTS, row, strict=True):
            if delay is not None:
                arcs.append((start, (output[:-1], int(output[-1])), delay))
    return Cell(arcs=tuple(arcs))


def _mux(row):
    return Cell(arcs=tuple((_all(pin), _all("O"), delay) for pin, delay in row.items()))


def _flip_flop(reset):
    setups = {"D": delays.FF_DATA, "CE": delays.FF_ENABLE, reset: delays.FF_RESET}
    return Cell(launches=((_all("Q"), delays.FF_LAUNCH),), setups=tuple((_all(pin), delay) for pin, delay in setups.items()))


def _shift_register(address, launches):
    return Cell(
        arcs=tuple((pin, _all("Q"), delays.LUT) for pin in address),
        launches=tuple((_all(output), delay) for output, delay in launches.items()),
        setups=((_all("D"), delays.SHIFT_DATA), (_all("CE"), delays.SHIFT_ENABLE)),
    )


def _lut_memory(width, reads, write, data):
    """LUT memory.

    Args:
        width: address bits; a seventh goes through the slice's MUXF7, an eighth through its MUXF8.
        reads: (address ports, output port); an address is one port of `width` bits, or as many ports of one bit.
        write: the write port's address ports.
        data: data input ports.
    """

    def pins(ports):
        return [(ports[0], bit) for bit in range(width)] if len(ports) == 1 else [_all(port) for port in ports]

    muxes = [delays.MUXF7, delays.MUXF8][: max(0, width - 6)]
    through = [max(mux["I0"], mux["I1"]) for mux in muxes]
    arcs, launches = [], []
    for address, output in reads:
        for bit, pin in enumerate(pins(address)):
            first = delays.RAM_READ + sum(through) if bit < 6 else muxes[bit - 6]["S"] + sum(through[bit - 5 :])
            arcs.append((pin, _all(output), first))
        launches.append((_all(output), delays.RAM_LAUNCH + sum(through)))
    setups = [(pin, delays.RAM_ADDRESS[bit]) for bit, pin in enumerate(pins(write))]
    setups += [(_all(port), delays.RAM_DATA) for port in data] + [(_all("WE"), delays.RAM_ENABLE)]
    return Cell(arcs=tuple(arcs), launches=tuple(launches), setups=tuple(setups))


def _four_ports(width):
    return _lut_memory(width, [([f"ADDR{port}"], f"DO{port}") for port in "ABCD"], ["ADDRD"], [f"DI{port}" for port in "ABCD"])


def _single_port(width):
    address = ["A"] if width == 8 else _numbered("A", width)
    return _lut_memory(width, [(address, "O")], address, ["D"])


def _dual_port(width):
    address, other = (["A"], ["DPRA"]) if width == 7 else (_numbered("A", width), _numbered("DPRA", width))
    return _lut_memory(width, [(address, "SPO"), (other, "DPO")], address, ["D"])


def _block_memory(values, ports):
    launches, setups = [], []
    for port in "AB":
        launch = delays.BRAM_LAUNCH[values.get(f"DO{port}_REG", 0)]
        launches += [(_all(f"DO{port}DO"), launch), (_all(f"DOP{port}DOP"), launch)]
        data = delays.BRAM_DATA[values.get(f"WRITE_MODE_{port}", "WRITE_FIRST")]
        setups += [(_all(f"DI{port}DI"), data), (_all(f"DIP{port}DIP"), data)]
    setups += [(_all(pin), delay) for pin, delay in delays.BRAM_SETUP.items()]
    return Cell(launches=tuple(launches), setups=tuple(setups))


def _dsp(values, ports):
    """DSP48E1 with its registers as parametrised (UG479, figure 2-1).

    A register whose inputs are constant starts nothing. The way between two registers inside counts as if it went on to the
    unregistered output: an upper bound.
    """
    multiplies = values.get("USE_MULT", "MULTIPLY") != "NONE"
    adds = multiplies and values.get("USE_DPORT", "FALSE") == "TRUE"
    inputs, registers = dict(delays.DSP_INPUTS), dict(delays.DSP_REGISTERS)
    if adds:
        inputs |= delays.DSP_INPUTS_ADDER
        registers |= delays.DSP_REGISTERS_ADDER
    elif not multiplies:
        inputs |= delays.DSP_INPUTS_SUM
        registers |= delays.DSP_REGISTERS_SUM
    held = {name: values.get(f"{name}REG", 1) > 0 for name in registers}
    held["M"] &= multiplies
    side = {name: f"{name}CIN" if values.get(f"{name}_INPUT", "DIRECT") == "CASCADE" else name for name in "AB"}
    own = {side["A"]: "A", side["B"]: "B"}
    arcs, launches, setups, inner = [], {}, [], 0.0

    def launch(output, delay):
        launches[output] = max(delay, launches.get(output, 0.0))

    for pin, (to_adder, to_product, to_sum, to_p, to_pcout) in inputs.items():
        if pin in ("A", "B", "ACIN", "BCIN") and pin not in own:
            continue
        register = own.get(pin, pin)
        if held.get(register):
            setups.append((_all(pin), delays.DSP_SETUP[pin]))
        elif to_adder and held["AD"]:
            setups.append((_all(pin), to_adder))
        elif to_product and held["M"]:
            setups.append((_all(pin), to_product))
        elif held["P"]:
            setups.append((_all(pin), to_sum))
        else:
            arcs += [(_all(pin), _all("P"), to_p), (_all(pin), _all("PCOUT"), to_pcout)]

    # Input pins of a register, and the registers behind it.
    factors = {side["A"], side["B"], "INMODE"} | ({"D"} if adds else set())
    feeds = {"A": {side["A"]}, "B": {side["B"]}, "AD": {side["A"], "D", "INMODE"}, "M": factors, "P": set(inputs)}
    later = {"A": "AD M P", "D": "AD M P", "INMODE": "AD M P", "AD": "M P", "B": "M P", "M": "P"}
    for name, (to_p, to_pcout) in registers.items():
        if not held[name] or not feeds.get(name, {name}) & ports.keys():
            continue
        if name != "P" and any(held.get(register) for register in later.get(name, "P").split()):
            inner = max(inner, to_p)
        else:
            launch("P", to_p)
            launch("PCOUT", to_pcout)

    for name in "AB":
        if values.get(f"{name}CASCREG", held[name]):
            launch(f"{name}COUT", delays.DSP_CASCADE_LAUNCH[name])
        else:
            arcs.append((_all(side[name]), _all(f"{name}COUT"), delays.DSP_CASCADES[side[name]]))
    setups += [(_all(pin), delay) for pin, delay in delays.DSP_SETUP.items() if pin.startswith(("CE", "RST"))]
    return Cell(tuple(arcs), tuple((_all(output), delay) for output, delay in launches.items()), tuple(setups), inner)


def _processing_system(values, ports):
    """PS7: the pins of the two AXI ports in use; interrupts, resets and clocks are not timed."""
    launches, setups = [], []
    for pin, direction in ports.items():
        for prefix, (launch, setup) in delays.PS7.items():
            if pin.startswith(prefix) and not pin.endswith("ACLK"):
                (launches if direction == "output" else setups).append((_all(pin), launch if direction == "output" else setup))
    return Cell(launches=tuple(launches), setups=tuple(setups))


_FIXED = {
    **{f"LUT{inputs}": _lut(inputs) for inputs in range(1, 7)},
    "INV": Cell(arcs=((_all("I"), _all("O"), delays.LUT),)),
    "CARRY4": _carry(),
    "MUXF7": _mux(delays.MUXF7), "MUXF8": _mux(delays.MUXF8),
    "FDRE": _flip_flop("R"), "FDSE": _flip_flop("S"), "FDCE": _flip_flop("CLR"), "FDPE": _flip_flop("PRE"),
    "SRL16E": _shift_register([_all(pin) for pin in _numbered("A", 4)], {"Q": delays.SHIFT_LAUNCH}),
    "SRLC32E": _shift_register([("A", bit) for bit in range(5)], {"Q": delays.SHIFT_LAUNCH, "Q31": delays.SHIFT_LAST_LAUNCH}),
    "RAM32M": _four_ports(5), "RAM64M": _four_ports(6),
    "RAM32X1S": _single_port(5), "RAM64X1S": _single_port(6), "RAM128X1S": _single_port(7), "RAM256X1S": _single_port(8),
    "RAM32X1D": _dual_port(5), "RAM64X1D": _dual_port(6), "RAM128X1D": _dual_port(7),
    "BUFG": Cell(), "VCC": Cell(), "GND": Cell(), "$scopeinfo": Cell(),  # clocks and constants take no time
}  # fmt: skip
_DSP_REGISTERS = ("A", "B", "C", "D", "AD", "M", "P", "INMODE", "OPMODE", "ALUMODE", "CARRYIN", "CARRYINSEL", "ACASC", "BCASC")
_RAMB = ("DOA_REG", "DOB_REG", "WRITE_MODE_A", "WRITE_MODE_B")
_MADE = {  # kind -> (maker, parameters that matter)
    "DSP48E1": (_dsp, (*(f"{name}REG" for name in _DSP_REGISTERS), "A_INPUT", "B_INPUT", "USE_MULT", "USE_DPORT")),
    "RAMB18E1": (_block_memory, _RAMB),
    "RAMB36E1": (_block_memory, _RAMB),
    "PS7": (_processing_system, ()),
}
