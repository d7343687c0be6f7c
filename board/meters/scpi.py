"""Multimeters and supplies that speak SCPI, through `pyvisa` (USB, LAN, GPIB, serial)."""

import re

from board.errors import BoardError
from board.meters.polled import Polled

INTERVAL_S = 2e-3  # at most; most instruments take longer to answer
TIMEOUT_MS = 400
NUMBER = re.compile(r"([+-]?\d*)\.?(\d*)(?:[eE]([+-]?\d+))?")


class Scpi(Polled):
    """An instrument.

    Args:
        resource: VISA's name of it, e.g. USB0::0x2A8D::0x1202::MY123::INSTR.
        power: its query for power in W; else
        voltage, current: its queries for V and A, multiplied.
        volt: the supply's voltage, where only the current is measured; 0: it is asked for.
        backend: of pyvisa, e.g. "@py"; "": the default.
        timing: clock and sleep, see Polled.

    Raises:
        BoardError: pyvisa is missing, or the instrument does not answer.
    """

    name = "scpi"

    def __init__(
        self,
        resource: str,
        power: str = "",
        voltage: str = "MEAS:VOLT?",
        current: str = "MEAS:CURR?",
        volt: float = 0.0,
        backend: str = "",
        **timing: object,
    ):
        super().__init__(INTERVAL_S, **timing)
        try:
            import pyvisa
        except ImportError:
            raise BoardError("pyvisa is missing; type: pip install pyvisa pyvisa-py pyserial pyusb.") from None
        self._failures = (pyvisa.errors.Error, OSError, ValueError)
        self._queries = (power,) if power else (current,) if volt else (voltage, current)
        self._factor = 1.0 if power or not volt else volt
        try:
            manager = pyvisa.ResourceManager(backend)
            self._instrument = manager.open_resource(resource, timeout=TIMEOUT_MS, read_termination="\n", write_termination="\n")
            idn = self._instrument.query("*IDN?").strip()
            if not idn:
                raise ValueError("nothing to *IDN?")
            texts = [self._instrument.query(query).strip() for query in self._queries]
        except self._failures as problem:
            raise BoardError(
                f"the instrument {resource:.80} does not answer ({problem!s:.120}); look for its name with: python3 -m visa info."
            ) from None
        values = [float(text) for text in texts if _is_number(text)]
        if len(values) != len(texts):
            raise BoardError(
                f"the instrument {resource:.80} answers {texts!r:.80} to {self._queries}; name its queries for numbers."
            )
        self.identity = {"resource": resource, "idn": idn, "queries": list(self._queries)}
        if volt and not power:
            self.identity["volt"] = volt
        # A step in one factor counts with the other.
        steps = [step(text) for text in texts]
        self.step_w = steps[0] * self._factor if len(values) == 1 else max(steps[0] * values[1], steps[1] * values[0])

    def read(self) -> float:
        """One reading in W."""
        watts = self._factor
        try:
            for query in self._queries:
                watts *= float(self._instrument.query(query))
        except self._failures as problem:
            raise OSError(f"{problem!s:.120}") from None
        return watts

    def stop(self) -> None:
        """Ends sampling, and gives the instrument back."""
        super().stop()
        self._instrument.close()


def step(text: str) -> float:
    """The unit of the last digit of a number, e.g. 0.001 of 1.670, and of 1.670E+00."""
    whole = NUMBER.fullmatch(text)
    return 10.0 ** (int(whole[3] or 0) - len(whole[2])) if whole else 0.0


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True
