"""Driver of the accelerator: a network in, then batches of images in and result records out, through registers and DMA.

It speaks to PYNQ alone (`Overlay`, its `gatefold_0`, `allocate`), so it cannot tell a board from the simulated one.
Registers, error codes and record words come from the deploy folder's interface.json.
"""

import atexit
import itertools
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from board.deploy import Deploy
from board.description import BURST_BYTES, Mode
from board.errors import BoardError, reading
from board.exits import Halting
from board.linking import together

INSTANCE = "gatefold_0"
POLL_SECONDS = 50e-6
DRAIN_SECONDS = 1.0  # within which a reset ends the transfers under way, if the memory answers at all
MEMORY_ALIGN = 128

# Batches that were given up while transfers were under way: (accelerator, buffers). The DMA may still write into
# those buffers, so they live until the accelerator rests, whatever becomes of the Accelerator and of the caller.
_given_up = []


@dataclass(frozen=True)
class Batch:
    """Results of one batch of N frames.

    Attributes:
        logits: int32 [N, classes], in the network's order of classes.
        predictions: int64 [N]; the class with the largest logit, on ties the one that the hardware chose, whose real logit is not smaller.
        modes: int64 [N], mode index as the hardware ran it.
        exits: int64 [N], number of the exit where a frame stopped, that of the network's own classifier behind the last.
        frame_cycles, tiles: int64 [N], clock cycles and executed tiles of each frame.
        decisions: uint8 [N, all], 1 where a gate said yes, gate after gate in the order of `deploy.gates`.
        layer_tiles: convolution -> int64 [N], its executed tiles.
        cycles: from the start to the last record, loading and storing included.
    """

    logits: np.ndarray
    predictions: np.ndarray
    modes: np.ndarray
    exits: np.ndarray
    frame_cycles: np.ndarray
    tiles: np.ndarray
    decisions: np.ndarray
    layer_tiles: Dict[str, np.ndarray]
    cycles: int


@dataclass(frozen=True)
class Order:
    """What the N frames of a batch are told.

    Attributes:
        modes: N board.deploy.Mode, the mode of each frame.
        thresholds: sums from which a channel gate and a layer gate say yes; 0: from probability one half on.
        forced: uint8 [all], decisions in place of the gates' own; None: they decide.
        halting: where frames stop early; None: nowhere.
        networks: N numbers of the loaded network of each frame; None: all are of the first.
    """

    modes: Sequence[Mode]
    thresholds: Tuple[int, int] = (0, 0)
    forced: Optional[np.ndarray] = None
    halting: Optional[Halting] = None
    networks: Optional[Sequence[int]] = None


class Accelerator:
    """The accelerator of a deploy folder, loaded onto the active device, and its network into it.

    Args:
        deploy: board.deploy.Deploy.
        bitstream: path of what the device loads (`deploy.bitstream`).
        others: deploy folders of the same engine, whose networks are loaded beside it.

    Raises:
        BoardError: the hardware is not the one of this folder, cannot be loaded or refuses the network, or is busy with a batch that was
            given up.
    """

    def __init__(self, deploy: Deploy, bitstream: Path, others: Sequence[Deploy] = ()):
        import pynq

        _release()  # loading cuts transfers off, and memory that is still written to must not be lost sight of
        self._deploy = deploy
        self._networks = (deploy, *others)
        self._allocate = pynq.allocate
        self._slots: Dict[int, tuple] = {}
        self._offsets = {name: int(entry["offset"], 16) for name, entry in deploy.interface["registers"].items()}
        self._fields = {
            (register, name): (low, width)
            for register, entry in deploy.interface["registers"].items()
            for name, low, width, _ in entry.get("fields", ())
        }
        self._words = {name: index for index, name in enumerate(deploy.interface["record"])}
        with reading(bitstream, "bitstream with its .hwh", f"build again with: make bitstream MODEL={deploy.model}"):
            self._overlay = pynq.Overlay(str(bitstream.resolve()))
        if INSTANCE not in self._overlay.ip_dict:
            raise BoardError(
                f"the .hwh of {deploy.folder} knows no {INSTANCE}; build again with: make bitstream MODEL={deploy.model}."
            )
        pynq.Clocks.fclk0_mhz = deploy.clock_mhz
        if abs(pynq.Clocks.fclk0_mhz - deploy.clock_mhz) > 0.01 * deploy.clock_mhz:
            raise BoardError(
                f"the board's clock gives {pynq.Clocks.fclk0_mhz:g} MHz, not the {deploy.clock_mhz:g} MHz of the build; build for a clock that it can give."
            )
        self._registers = getattr(self._overlay, INSTANCE)
        self._check_identity()
        image, self._first_modes = together(self._networks)
        self.load(image)
        modes, said = self._field("config", "modes"), sum(len(each.modes) for each in self._networks)
        if modes != said:
            raise BoardError(f"{deploy.folder} mixes two builds: the network has {modes} modes, its files {said}; {deploy.remedy}.")

    def load(self, network: np.ndarray, timeout: float = 10.0) -> int:
        """Load a network image in the place of the one before; returns the clock cycles that it took.

        Args:
            network: uint8 [bytes], whole bursts.
            timeout: seconds after which the load counts as lost.

        Raises:
            BoardError: the accelerator is busy, refuses the image, or does not answer; it then holds no network.
        """
        _release()
        self._idle()
        buffer = self._buffer((len(network),), np.uint8)
        buffer[:] = network
        buffer.flush()
        self._write("source", buffer.device_address)
        self._write("frames", len(network) // BURST_BYTES)
        try:
            self._write("control", self._bit("control", "load"))
            deadline = time.monotonic() + timeout
            while self._field("status", "busy", status := self._read("status")):
                if time.monotonic() > deadline:
                    raise BoardError(
                        f"the accelerator has not loaded its network within {timeout:g} s: its memory does not answer; power-cycle the board."
                    )
                time.sleep(POLL_SECONDS)
            self._refused(status, "the network")
        except BaseException:
            _give_up(self, (buffer,))
            raise
        self._write("irq", self._bit("irq", "pending"))
        return self._read("cycles")

    def run(
        self,
        pixels: np.ndarray,
        modes: Sequence[Mode],
        timeout: float = 10.0,
        thresholds: Tuple[int, int] = (0, 0),
        forced: Optional[np.ndarray] = None,
        halting: Optional[Halting] = None,
    ) -> Batch:
        """Run one batch.

        Args:
            pixels: uint8 [N, height, width, colours], as `deploy.picture` says.
            modes, thresholds, forced, halting: see Order.
            timeout: seconds without a new result after which the batch counts as lost.

        A batch that does not end, or is interrupted, is given up: the accelerator is reset, and its buffers live on
        until no transfer is under way.

        Raises:
            BoardError: the accelerator is busy, reports an error, does not answer, or ends without all records.
        """
        order = Order(modes, thresholds, forced, halting)
        (batch,) = self.stream([pixels], lambda frames: order, timeout)
        return batch

    def stream(self, batches: Iterable[np.ndarray], orders: Callable[[int], Order], timeout: float = 10.0) -> Iterator[Batch]:
        """Run any number of batches, in the memory of two: the next is made ready while one runs.

        Args:
            batches: uint8 [N, height, width, colours] each.
            orders: number of frames -> what they are told; asked when a batch starts, and not when it is made ready.
            timeout: see `run`, and what it says of a batch that does not end; one that runs when the caller closes the iterator is given up
                too.

        Yields:
            Batch of each, in order.

        Raises:
            BoardError: see `run`.
        """
        finished = self._records(batches, orders, timeout)
        try:
            for records, order, cycles in finished:
                yield self._unpack(records, order, cycles)
        finally:
            finished.close()

    def run_several(
        self, pixels: np.ndarray, networks: Sequence[int], modes: Sequence[Mode], timeout: float = 10.0
    ) -> List[Tuple[np.ndarray, Batch]]:
        """Run one batch whose frames are of several networks, which takes the cycles that they take one by one.

        Args:
            pixels: uint8 [N, height, width, colours].
            networks: of each frame, a number: 0 is `deploy`, then come `others`.
            modes: of each frame, one of its network.
            timeout: see `run`.

        Returns:
            For each network the numbers of its frames, int64 [n], and their results; its `cycles` are those of the whole batch.

        Raises:
            BoardError: see `run`; a network that is not loaded, or a mode that is none of its network's.
        """
        order = Order(modes, networks=networks)
        if not len(networks) == len(modes) == len(pixels):
            raise BoardError(
                f"{len(pixels)} frames have {len(networks)} networks and {len(modes)} modes; give one of each for every frame."
            )
        for frame, (network, mode) in enumerate(zip(networks, modes)):
            if not 0 <= network < len(self._networks):
                raise BoardError(f"frame {frame} is of network {network}; loaded are 0 to {len(self._networks) - 1}.")
            if self._networks[network].modes.get(mode.name) != mode:
                model = self._networks[network].model
                raise BoardError(
                    f"frame {frame} is of {model} and its mode {mode.name} is another network's; take one of its own `modes`."
                )
        ((records, _, cycles),) = self._records([pixels], lambda frames: order, timeout)
        found = []
        for network in range(len(self._networks)):
            at = np.flatnonzero(np.array(networks) == network)
            if len(at):
                found.append((at, self._unpack(records, Order([modes[frame] for frame in at]), cycles, network, at)))
        return found

    def _records(self, batches, orders, timeout):
        """Runs batches as `stream` does; yields the records, the order and the cycles of each."""
        _release()
        running = None
        try:
            for number, pixels in enumerate(batches):
                ready = self._prepare(pixels, number % 2)
                finished = running and self._finish(*running, timeout)
                running = None
                order = orders(len(pixels))
                if len(order.modes) != len(pixels):
                    raise self._no_batch(pixels, order.modes)
                self._tell(ready, order)
                running = ready, order
                self._write("control", self._bit("control", "start"))
                if finished:
                    yield finished
            finished = running and self._finish(*running, timeout)
            running = None
            if finished:
                yield finished
        except BaseException:  # an interrupt from the keyboard, and a caller that wants no more
            if running:
                self._slots.clear()
                _give_up(self, running[0])
            raise

    def rest(self) -> bool:
        """Waits until no batch and no transfer is under way, at most DRAIN_SECONDS; returns whether that is so."""
        deadline = time.monotonic() + DRAIN_SECONDS
        while self._field("status", "busy"):
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def reset(self) -> None:
        """Gives up the batch under way; `rest` tells when the transfers that have begun are over."""
        self._write("control", self._bit("control", "reset"))

    def _no_batch(self, pixels, modes=None):
        height, width, colours = self._deploy.picture.shape
        with_modes = "" if modes is None else f" with {len(modes)} modes"
        return BoardError(
            f"a batch of {pixels.dtype} {list(pixels.shape)}{with_modes} cannot run; "
            f"give uint8 [N, {height}, {width}, {colours}] and N modes."
        )

    def _prepare(self, pixels, slot):
        """Buffers of one of two slots with the frames in them: (source, mode list, records)."""
        frames, picture = len(pixels), self._deploy.picture
        if pixels.dtype != np.uint8 or pixels.shape[1:] != picture.shape or not frames:
            raise self._no_batch(pixels)
        buffers = self._slots.get(slot)
        if buffers is None or len(buffers[0]) != frames:
            self._slots.pop(slot, None)
            buffers = None  # their memory is free before more is asked for
            source = self._buffer((frames, picture.frame_bytes), np.uint8)
            mode_list = self._buffer((frames,), np.uint8)
            records = self._buffer((frames, self._record_words), np.uint32)
            buffers = self._slots[slot] = (source, mode_list, records)
        source, _, records = buffers
        picture.to_frames(pixels, source)
        records[:] = 0
        source.flush()
        records.flush()
        return buffers

    def _tell(self, buffers, order):
        """Sets the registers for a batch."""
        self._idle()
        source, mode_list, records = buffers
        firsts = (self._first_modes[network] for network in (itertools.repeat(0) if order.networks is None else order.networks))
        mode_list[:] = [first + mode.index for first, mode in zip(firsts, order.modes)]
        mode_list.flush()
        self._write("source", source.device_address)
        self._write("destination", records.device_address)
        self._write("mode_list", mode_list.device_address)
        self._write("frames", len(source))
        if any(network.gates for network in self._networks):
            thresholds, forced = order.thresholds, order.forced
            self._write("gate_threshold", thresholds[0] & 0xFFFFFFFF)
            self._write("layer_threshold", thresholds[1] & 0xFFFFFFFF)
            self._write("forced", 0 if forced is None else self._bit("forced", "enable"))
            if forced is not None:
                padded = np.pad(np.asarray(forced, np.uint8), (0, -len(forced) % 32))
                for word in np.packbits(padded, bitorder="little").view("<u4"):
                    self._write("forced_word", word)
        if any(network.exits for network in self._networks):
            self._write("exits", 0)
            halting = order.halting
            for mode, limits in halting.limits.items() if halting else ():
                self._write("exits", self._bit("exits", "enable") | mode << self._fields["exits", "mode"][0])
                for limit, margin in zip(limits, halting.margins):
                    self._write("exit_limit", limit)
                    self._write("exit_margin", margin)

    def _finish(self, buffers, order, timeout):
        """Waits for a batch; returns its records, its order and its cycles."""
        self._wait(len(buffers[0]), timeout)
        cycles = self._read("cycles")
        self._write("irq", self._bit("irq", "pending"))
        buffers[2].invalidate()
        return np.array(buffers[2]), order, cycles

    def _check_identity(self):
        deploy = self._deploy
        remedy = deploy.remedy
        if self._read("id") != int(deploy.interface["id"], 16):
            raise BoardError(f"the loaded hardware is no Gatefold accelerator (id {self._read('id'):#010x}); {remedy}.")
        for name, expected in (("version", deploy.interface["version"]), ("engine_hash", deploy.engine_hash)):
            value = self._read(name)
            if value != expected:
                raise BoardError(
                    f"{deploy.folder} mixes two builds: the hardware's {name} is {value:#x}, its files say {expected:#x}; {remedy}."
                )
        config = self._read("config")
        classes, self._record_words = (self._field("config", name, config) for name in ("classes", "record_words"))
        for network in self._networks:
            if classes != len(network.classes):
                raise BoardError(
                    f"{network.folder} mixes two builds: the hardware has {classes} classes, its files {len(network.classes)}; {network.remedy}."
                )
        decisions = max(sum(gate.count for gate in network.gates) for network in self._networks)
        if len(self._words) + -(-classes // 2) * 2 + -(-decisions // 64) * 2 > self._record_words:
            raise BoardError(
                f"{deploy.folder} mixes two builds: a record of {self._record_words} words is too short for interface.json; {remedy}."
            )

    def _idle(self):
        if self._field("status", "busy"):
            raise BoardError("the accelerator is busy with a batch of another program; wait for its end, or stop it.")

    def _refused(self, status, what):
        if self._field("status", "error", status):
            code = self._field("status", "error_code", status)
            name = next((name for name, value in self._deploy.interface["errors"].items() if value == code), str(code))
            raise BoardError(
                f"the accelerator refused {what} with {name} (code {code}); check the modes and {self._deploy.remedy}."
            )

    def _wait(self, frames, timeout):
        done, deadline = 0, time.monotonic() + timeout
        while True:
            status = self._read("status")
            if not self._field("status", "busy", status):
                break
            progress = self._read("frames_done")
            now = time.monotonic()
            if progress != done:
                done, deadline = progress, now + timeout
            elif now > deadline:
                raise BoardError(
                    f"the accelerator gave no result for {timeout:g} s after {done} of {frames} frames: its memory does not "
                    f"answer; power-cycle the board, or allow more with --timeout."
                )
            time.sleep(POLL_SECONDS)
        self._refused(status, "the batch")
        done = self._read("frames_done")
        if not self._field("status", "done", status) or done != frames:
            raise BoardError(
                f"the accelerator stopped after {done} of {frames} frames without an error; let no other program use it, and run again."
            )

    def _unpack(self, records, order, cycles, network=0, at=None):
        """Results of the frames of a network; `at`: their numbers in the batch, None: those of all."""
        modes, halting, deploy, first_mode = order.modes, order.halting, self._networks[network], self._first_modes[network]
        start = int(records[0, self._words["frame"]])
        at = np.arange(len(records)) if at is None else at
        records = records[at]

        def column(name):
            return records[:, self._words[name]].astype(np.int64)

        if column("status").any():
            frame = int(np.flatnonzero(column("status"))[0])
            raise BoardError(
                f"frame {at[frame]} ended with status {column('status')[frame]}; run it again, and build again if that repeats."
            )
        first, classes = len(self._words), len(deploy.classes)
        logits = records[:, first : first + classes].view(np.int32)
        # The hardware numbers frames from its last reset on, modulo 2^32, and names the first of the largest logits.
        number = (start + at) % 2**32
        wrong = (
            (column("frame") != number)
            | (column("mode") != [first_mode + mode.index for mode in modes])
            | (column("class") != logits.argmax(axis=1))
            | (column("exit") > len(deploy.exits))
        )
        if wrong.any():
            raise BoardError(
                f"the record of frame {at[np.flatnonzero(wrong)[0]]} is that of another frame, mode or network; run again, and restart the board if that repeats."
            )
        order = deploy.class_order
        named = np.empty_like(logits)
        named[:, order] = logits
        begin = first + -(-classes // 2) * 2
        bits = np.unpackbits(np.ascontiguousarray(records[:, begin:], "<u4").view(np.uint8), axis=1, bitorder="little")
        decisions = bits[:, : sum(gate.count for gate in deploy.gates)]
        layer_tiles = deploy.layer_tiles(modes, decisions, column("exit"), halting)
        left, tiles = sum(layer_tiles.values()), column("tiles")
        if (left != tiles).any():
            frame = int(np.flatnonzero(left != tiles)[0])
            raise BoardError(
                f"frame {at[frame]} executed {tiles[frame]} tiles, and its gates' decisions and its exit leave {left[frame]}; "
                f"run again, and build again if that repeats."
            )
        exits, frame_cycles = column("exit"), column("cycles")
        return Batch(
            named, order[column("class")], column("mode") - first_mode, exits, frame_cycles, tiles, decisions, layer_tiles, cycles
        )

    def _buffer(self, shape, dtype):
        try:
            buffer = self._allocate(shape, dtype)
        except (RuntimeError, MemoryError) as problem:  # what pynq raises when the contiguous memory is used up
            raise BoardError(
                f"the board has no contiguous memory for a batch of {shape[0]} frames ({problem}); run smaller batches (--batch)."
            ) from None
        if buffer.device_address % MEMORY_ALIGN:
            raise BoardError(
                f"the board gave memory at {buffer.device_address:#x}, which is not a multiple of {MEMORY_ALIGN}; restart the board."
            )
        return buffer

    def _field(self, register, name, word=None):
        """A field of a register: in `word`, or as it is now."""
        low, width = self._fields[register, name]
        return (self._read(register) if word is None else word) >> low & (1 << width) - 1

    def _bit(self, register, name):
        return 1 << self._fields[register, name][0]

    def _read(self, name):
        return self._registers.read(self._offsets[name])

    def _write(self, name, value):
        self._registers.write(self._offsets[name], int(value))


def _give_up(accelerator, buffers):
    """Ends a batch before its time; its buffers stay alive until the accelerator rests, or the process has waited for that."""
    if not _given_up:
        atexit.register(_release_at_exit)  # only now: the last to be registered runs first, while the device still lives
    _given_up.append((accelerator, buffers))
    accelerator.reset()
    if accelerator.rest():
        _given_up.pop()


def _release():
    """Lets go of the buffers of batches that were given up.

    Raises:
        BoardError: an accelerator still works on one of them.
    """
    while _given_up:
        if not _given_up[-1][0].rest():
            raise BoardError(
                "the accelerator is still busy with a batch that was given up: its memory does not answer; power-cycle the board."
            )
        _given_up.pop()


def _release_at_exit():
    try:
        _release()
    except BoardError:
        pass  # the batch's own error has said it; nothing but the board's reset would help
