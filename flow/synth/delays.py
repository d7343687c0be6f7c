"""Delays of the Artix-7 fabric in speed grade -1, as the xc7z020-1 has it: cells, set-up times, and a model for nets.

Source of every cell figure: prjxray-db (github.com/f4pga/prjxray-db, CC0, commit 0a0addedd7), zynq7/timings/*.sdf, the slow
corner's maximum, of SLICEL and SLICEM the slower; slicel, slicem: LUT, carry, multiplexer, flip-flop and LUT memory;
BRAM_L: RAMB; DSP_L: DSP48E1; PSS2: PS7. All in ns. What lies between a slice's edge and its cells the model for nets contains,
except behind its clocked outputs: Vivado's reports of this part show 0.518 for a flip-flop of SLICEM, prjxray's cell 0.362.
"""

import math

SPEED_GRADE = "-1"
NET, NET_DOUBLING = 0.55, 0.10
"""A routed net takes NET + NET_DOUBLING · log2(fan-out); a connection inside a slice or a cascade takes nothing."""
LUT, LUT_AS_WIRE = 0.124, 0.124  # a slice's multiplexer or carry that is not fed by a LUT is reached through one
SLICE_OUTPUT = 0.156
FF_LAUNCH, FF_DATA, FF_ENABLE, FF_RESET = (
    0.362 + SLICE_OUTPUT,
    0.0,
    0.109,
    0.404,
)  # the data set-up is negative (-0.045): counted as none
MUXF7 = {"I0": 0.219, "I1": 0.225, "S": 0.314}
MUXF8 = {"I0": 0.104, "I1": 0.094, "S": 0.283}
CARRY_OUTPUTS = ("O0", "O1", "O2", "O3", "CO0", "CO1", "CO2", "CO3")
CARRY = {
    "CI": (0.222, 0.334, 0.239, 0.315, 0.271, 0.157, 0.229, 0.117),
    "CYINIT": (0.510, 0.630, 0.602, 0.662, 0.561, 0.511, 0.608, 0.595),
    "S0": (0.228, 0.403, 0.523, 0.584, 0.340, 0.434, 0.514, 0.508),
    "S1": (None, 0.210, 0.558, 0.623, None, 0.472, 0.554, 0.528),
    "S2": (None, None, 0.228, 0.330, None, None, 0.296, 0.376),
    "S3": (None, None, None, 0.233, None, None, None, 0.380),
    "DI0": (None, 0.422, 0.579, 0.642, 0.393, 0.488, 0.564, 0.550),
    "DI1": (None, None, 0.547, 0.610, None, 0.456, 0.533, 0.520),
    "DI2": (None, None, None, 0.447, None, None, 0.366, 0.404),
    "DI3": (None, None, None, None, None, None, None, 0.396),
}
# LUT memory: read address to output, clock to output (a word just written), set-up of data, address bit by bit, enable.
RAM_READ, RAM_LAUNCH, RAM_DATA, RAM_ENABLE = 0.157, 1.190 + SLICE_OUTPUT, 0.461, 0.654
RAM_ADDRESS = (0.066, 0.068, 0.147, 0.208, 0.245, 0.362, 0.616, 0.633)
SHIFT_LAUNCH, SHIFT_LAST_LAUNCH = 1.481 + SLICE_OUTPUT, 1.114 + SLICE_OUTPUT
SHIFT_DATA, SHIFT_ENABLE = 0.178, 0.638
BRAM_LAUNCH = {0: 2.454, 1: 0.882}  # without and with the output register
BRAM_SETUP = {
    "ADDRARDADDR": 0.566, "ADDRBWRADDR": 0.566, "WEA": 0.532, "WEBWE": 0.532, "ENARDEN": 0.443, "ENBWREN": 0.443,
    "RSTRAMARSTRAM": 0.359, "RSTRAMB": 0.359, "RSTREGARSTREG": 0.342, "RSTREGB": 0.342, "REGCEAREGCE": 0.360, "REGCEB": 0.360,
}  # fmt: skip
BRAM_DATA = {"READ_FIRST": 0.241, "WRITE_FIRST": 0.737, "NO_CHANGE": 0.737}
# DSP48E1 inputs without a register of their own: set-up to AD, to M, to P; delay to P, to PCOUT.
DSP_INPUTS = {
    "A": (None, 1.928, 3.722, 3.841, 4.036),
    "ACIN": (None, 1.727, 3.520, 3.639, 3.833),
    "B": (None, 1.743, 3.536, 3.656, 3.851),
    "BCIN": (None, 1.498, 3.290, 3.410, 3.606),
    "INMODE": (None, 2.012, 3.805, 3.923, 4.119),
    "C": (None, None, 1.701, 1.820, 2.016),
    "PCIN": (None, None, 1.400, 1.518, 1.713),
    "CARRYIN": (None, None, 1.298, 1.416, 1.613),
    "CARRYCASCIN": (None, None, 1.028, 1.147, 1.343),
    "MULTSIGNIN": (None, None, 1.400, 1.518, 1.713),
    "OPMODE": (None, None, 2.209, 2.326, 2.522),
    "ALUMODE": (None, None, 1.978, 2.098, 2.292),
    "CARRYINSEL": (None, None, 1.793, 1.910, 2.106),
}
DSP_INPUTS_ADDER = {  # through the pre-adder
    "A": (1.756, 3.288, 5.081, 5.201, 5.396),
    "ACIN": (1.555, 3.087, 4.881, 4.998, 5.194),
    "D": (1.626, 3.158, 4.951, 5.070, 5.046),
    "INMODE": (2.089, 3.372, 5.165, 5.283, 5.480),
}
DSP_INPUTS_SUM = {  # past the multiplier
    "A": (None, None, 1.958, 2.077, 2.271),
    "ACIN": (None, None, 1.755, 1.874, 2.071),
    "B": (None, None, 1.938, 2.057, 2.252),
    "BCIN": (None, None, 1.692, 1.812, 2.006),
}
# Registers: clock to P, to PCOUT.
DSP_REGISTERS = {
    "A": (4.009, 4.206), "B": (3.813, 4.008), "C": (2.291, 2.488), "INMODE": (4.111, 4.307), "OPMODE": (2.231, 2.426),
    "ALUMODE": (2.054, 2.251), "CARRYIN": (1.764, 1.958), "CARRYINSEL": (1.927, 2.122), "M": (2.305, 2.500), "P": (0.434, 0.478),
}  # fmt: skip
DSP_REGISTERS_ADDER = {"A": (5.368, 5.565), "D": (5.320, 5.515), "INMODE": (5.470, 5.666), "AD": (3.684, 3.879)}
DSP_REGISTERS_SUM = {"A": (2.215, 2.411), "B": (2.191, 2.387)}
DSP_SETUP = {  # to an input's own register; enables; resets
    "A": 0.362, "ACIN": 0.319, "B": 0.450, "BCIN": 0.352, "C": 0.233, "D": 0.413, "INMODE": 0.449, "OPMODE": 0.449, "ALUMODE": 0.246,
    "CARRYIN": 0.299, "CARRYINSEL": 0.208,
    "CEA1": 0.497, "CEA2": 0.497, "CEB1": 0.514, "CEB2": 0.514, "CEC": 0.414, "CED": 0.513, "CEAD": 0.426, "CEM": 0.266, "CEP": 0.524,
    "CECTRL": 0.421, "CEALUMODE": 0.411, "CECARRYIN": 0.665, "CEINMODE": 0.603,
    "RSTA": 0.507, "RSTB": 0.543, "RSTC": 0.084, "RSTD": 0.589, "RSTM": 0.270, "RSTP": 0.347, "RSTCTRL": 0.469, "RSTALUMODE": 0.411,
    "RSTALLCARRYIN": 0.287, "RSTINMODE": 0.686,
}  # fmt: skip
DSP_CASCADES = {"A": 0.723, "ACIN": 0.521, "B": 0.735, "BCIN": 0.490}
DSP_CASCADE_LAUNCH = {"A": 0.864, "B": 0.833}
PS7 = {"MAXIGP0": (1.453, 0.883), "SAXIHP0": (1.507, 1.038)}  # slowest pin of the port: clock to output, set-up


def net_delay(fan_out: int) -> float:
    """Delay of a routed net with that many loads, ns."""
    return NET + NET_DOUBLING * math.log2(max(1, fan_out))
