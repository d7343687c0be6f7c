"""The test harness of MLPerf Tiny: what the runner's commands do, and what they answer.

Commands and messages are those of MLCommons' interface for devices (mlcommons/tiny, benchmark/api): a command ends with %, its words are
separated by blanks, every answer ends with the line m-ready, and every line with CR LF.

    name                     m-name-dut-[VENDOR]
    profile                  m-profile-[FIRMWARE], m-model-[NETWORK]
    timestamp                m-lap-us-MICROSECONDS; in energy mode a falling edge of the pin, and no line
    db load N                m-[Expecting N bytes]: an input of N bytes is to come
    db HEX…                  its next bytes; m-load-done with the last
    db print                 the input: m-buffer-…
    infer N [W]              N inferences of the input after W that are not timed (default 1 and 10): m-warmup-start-W, m-warmup-done,
                             m-infer-start-N, a time stamp before and one after, m-infer-done, m-results-[…]
    results                  m-results-[P,P,…]: the probability of each class
    help                     what there is
    what cannot be done      e-[why]
"""

import time
from typing import Callable, Optional, Tuple

import numpy as np

from board.deploy import Deploy
from board.description import Mode
from board.driver import Accelerator
from board.errors import BoardError
from board.exits import Halting

FIRMWARE = "ULPMark for tinyML Firmware V0.0.1"  # the profile that the runner knows
COMMAND = 80  # characters of a command that count
INPUT = 96 * 96 * 3  # bytes of an input at most
WARMUPS = 10
DIGITS = 6  # of a probability
COMMANDS = ("name", "profile", "timestamp", "db load N | db HEX | db print", "infer N [W=10]", "results", "help")


class Network:
    """The accelerator as the harness uses it: one input, inferences of it one after another, the last one's probabilities.

    Args:
        deploy, accelerator: what runs.
        simulated: then time is that of the accelerator's clock, since that of the simulation says nothing.
        mode, thresholds, forced, halting: see board.driver.Order.
        batch: inferences in one start of the accelerator.
        timeout: seconds without a result.
    """

    def __init__(
        self,
        deploy: Deploy,
        accelerator: Accelerator,
        simulated: bool,
        mode: Mode,
        thresholds: Tuple[int, int] = (0, 0),
        forced: Optional[np.ndarray] = None,
        halting: Optional[Halting] = None,
        batch: int = 1,
        timeout: float = 10.0,
    ):
        self._deploy, self._accelerator, self._simulated = deploy, accelerator, simulated
        self._mode, self._told = mode, (timeout, thresholds, forced, halting)
        self._batch = batch
        self._cycles = 0
        self._probabilities = np.full(len(deploy.classes), 1 / len(deploy.classes))
        self._pixels = np.zeros((batch, *deploy.picture.shape), np.uint8)

    def load(self, data: bytes) -> None:
        """Takes the input: uint8 [height, width, colours] in this order.

        Raises:
            BoardError: it is of another size.
        """
        size = int(np.prod(self._deploy.picture.shape))
        if len(data) != size:
            raise BoardError(f"The input has {len(data)} bytes, the network takes {size}")
        self._pixels[:] = np.frombuffer(data, np.uint8).reshape(self._deploy.picture.shape)

    def infer(self, count: int) -> None:
        """So many inferences of the input."""
        for at in range(0, count, self._batch):
            frames = min(self._batch, count - at)
            batch = self._accelerator.run(self._pixels[:frames], [self._mode] * frames, *self._told)
            self._cycles += batch.cycles
        scale = (
            self._deploy.logit_scale
            if batch.exits[-1] == len(self._deploy.exits)
            else self._deploy.exits[batch.exits[-1]].logit_scale
        )
        self._probabilities = _probabilities(batch.logits[-1] * scale, int(batch.predictions[-1]))

    def results(self) -> np.ndarray:
        """Probability of each class in the last inference, float64, rounded to DIGITS; all alike before the first."""
        return self._probabilities

    def microseconds(self) -> int:
        """A clock that only goes forward."""
        return int(self._cycles / self._deploy.clock_mhz) if self._simulated else time.monotonic_ns() // 1000


def _probabilities(logits, prediction):
    """Softmax, rounded as it is told; where rounding makes another class as likely as the predicted one, by one digit less."""
    powers = np.exp(logits - logits.max())
    found = np.round(powers / powers.sum(), DIGITS)
    equal = found == found[prediction]
    equal[prediction] = False
    found[equal & (found >= found.max())] -= 10.0**-DIGITS
    return np.maximum(found, 0)


class Monitor:
    """Takes what comes over the port, and answers.

    Args:
        send: writes bytes to the port.
        network: Network.
        vendor, name: of the device, and of the network in the benchmark.
        pin: pulses the pin of energy mode; None in the other modes.
    """

    def __init__(
        self, send: Callable[[bytes], None], network: Network, vendor: str, name: str, pin: Optional[Callable[[], None]] = None
    ):
        self._send, self._network, self._pin = send, network, pin
        self._vendor, self._name = vendor, name
        self._command = ""
        self._input, self._expected = bytearray(), 0

    def begin(self) -> None:
        """What a device says when it has started."""
        self._say(f"m-timestamp-mode-{'energy' if self._pin else 'performance'}")
        self._stamp()
        self._say("m-init-done")
        self._say("m-ready")

    def receive(self, data: bytes) -> None:
        """Bytes from the port; whole commands among them are done."""
        for character in data.decode("latin-1"):
            if character == "%":
                command, self._command = self._command, ""
                try:
                    self._do(command.split())
                except BoardError as problem:
                    self._say(f"e-[{str(problem).rstrip('.')}]")
                self._say("m-ready")
            elif character not in "\r\n" and len(self._command) < COMMAND:
                self._command += character

    def _do(self, words):
        if not words:
            return
        does = getattr(self, f"_do_{words[0]}", None)
        if does is None:
            self._say(f"e-[Unknown command: {words[0]}]")
        else:
            does(words[1:])

    def _do_name(self, words):
        self._say(f"m-name-dut-[{self._vendor}]")

    def _do_profile(self, words):
        self._say(f"m-profile-[{FIRMWARE}]")
        self._say(f"m-model-[{self._name}]")

    def _do_timestamp(self, words):
        self._stamp()

    def _do_help(self, words):
        for command in COMMANDS:
            self._say(command)

    def _do_results(self, words):
        self._say(f"m-results-[{','.join(f'{value:.{DIGITS}f}' for value in self._network.results())}]")

    def _do_db(self, words):
        if not words:
            raise BoardError("db takes load, print or bytes in hex")
        if words[0] == "load":
            self._expect(_whole(words[1:2], 0))
        elif words[0] == "print":
            for at in range(0, len(self._input), 8):
                self._say("m-buffer-" + "-".join(f"{byte:02x}" for byte in self._input[at : at + 8]))
        else:
            self._take(words[0])

    def _expect(self, size):
        if not 0 < size <= INPUT:
            raise BoardError(f"db load takes 1 to {INPUT} bytes")
        self._input, self._expected = bytearray(), size
        self._say(f"m-[Expecting {size} bytes]")

    def _take(self, text):
        try:
            data = bytes.fromhex(text)
        except ValueError:
            raise BoardError(f"{text:.16} is no pairs of hexadecimal digits") from None
        if len(self._input) == self._expected:
            raise BoardError("No more bytes are expected; begin with db load")
        self._input += data[: self._expected - len(self._input)]
        if len(self._input) == self._expected:
            self._say("m-load-done")

    def _do_infer(self, words):
        count, warmups = _whole(words[:1], 1), _whole(words[1:2], WARMUPS)
        if count < 1 or warmups < 0:
            raise BoardError("infer takes 1 or more inferences, and 0 or more before them")
        self._network.load(bytes(self._input))
        self._say(f"m-warmup-start-{warmups}")
        if warmups:
            self._network.infer(warmups)
        self._say("m-warmup-done")
        self._say(f"m-infer-start-{count}")
        self._stamp()
        self._network.infer(count)
        self._stamp()
        self._say("m-infer-done")
        self._do_results(())

    def _stamp(self):
        if self._pin:
            self._pin()
        else:
            self._say(f"m-lap-us-{self._network.microseconds()}")

    def _say(self, line):
        self._send(f"{line}\r\n".encode("ascii", "replace"))


def _whole(words, default):
    """The whole number in the first of `words`, which may be missing."""
    try:
        return int(words[0]) if words else default
    except ValueError:
        raise BoardError(f"{words[0]:.16} is no whole number") from None
