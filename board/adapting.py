"""`board/run.py --adaptive`: frames under a budget that changes, and the choices in the log."""

import argparse
import json
import os
from collections import Counter
from datetime import datetime, timezone
from typing import Iterator, List

from board.adaptive import run_adaptively
from board.budgets import open_budget
from board.choose import Budget, Option, choose, least, options_of
from board.command import open_accelerator
from board.deploy import Deploy
from board.energy import Power
from board.energy_log import EnergyLog, read_log
from board.errors import BoardError
from board.images import MAX_FRAMES, load_images
from board.measuring import about, asked_settings
from board.setting import Setting


def chosen_setting(args: argparse.Namespace, deploy: Deploy) -> Option:
    """What --budget-mj, --budget-ms and --budget-w leave as the best of the settings asked for.

    Raises:
        BoardError: nothing is within them.
    """
    for name in ("mj", "ms", "w"):
        value = getattr(args, f"budget_{name}")
        if value is not None and not 0 < value < float("inf"):
            raise BoardError(f"--budget-{name} is {value}; give more than 0.")
    budget = Budget(args.budget_mj, args.budget_ms, args.budget_w)
    options = known_options(args, deploy)
    option = choose(options, budget)
    if option is None:
        near = least(options, budget)
        raise BoardError(
            f"no setting of {deploy.model} is within the budget; the nearest, {near.setting.name}, takes {near.energy_mj:.4f} mJ "
            f"({near.kind}), {near.latency_ms:.4f} ms and {near.power_w:.3f} W: allow more."
        )
    return option


def known_options(args: argparse.Namespace, deploy: Deploy) -> List[Option]:
    """The settings that the command line asks for and what they cost, by the log where there is one."""
    records = read_log(args.log) if os.path.exists(args.log) else []
    settings: List[Setting] = asked_settings(args, deploy)
    return options_of(deploy, settings, records, Power(args.idle_watts, args.active_watts))


def adapt(args: argparse.Namespace, deploy: Deploy) -> Iterator[str]:
    """Runs frames under the budget that --adaptive names; gives lines of text, or with --json a JSON object a frame.

    The log has a record `choice` wherever choice or budget change, and at the end `stream`, also where the end is an interrupt.
    """
    count = 16 if args.count is None else args.count
    if count < 0:
        raise BoardError(f"--count is {count}; give the number of frames, or 0 for no end.")
    options = known_options(args, deploy)
    images = load_images(
        args.images or deploy.samples, min(count or MAX_FRAMES, MAX_FRAMES), deploy.picture.shape, len(deploy.classes)
    )
    budget, log = open_budget(args.adaptive), None
    try:
        accelerator, simulated = open_accelerator(deploy)
        log = EnergyLog(args.log)
        session, said = os.urandom(8).hex(), []

        def append(record, contents):
            now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
            log.append({"record": record, "session": session, "time": now, **contents})

        def tell(choice):
            append("choice", {**about(deploy, simulated), **choice.record})
            said.append(choice)

        size = args.batch or 1
        sizes = (min(size, count - at) for at in range(0, count, size)) if count else iter(lambda: size, 0)
        frames, energies = Counter(), Counter()
        try:
            for done in run_adaptively(accelerator, images.batches(sizes), options, budget.read, args.timeout, tell):
                option, batch = done.choice.option, done.batch
                frames[option.setting.mode.name, option.setting.exit] += len(batch.predictions)
                energies[option.kind] += option.energy_mj * len(batch.predictions)
                yield from _lines(args, deploy, said, done)
        finally:
            counts = [[mode, exit, number] for (mode, exit), number in frames.items()]
            total = [[kind, energy] for kind, energy in energies.items()]
            append("stream", {"frames": sum(frames.values()), "frames_by_setting": counts, "energy_mj": total})
        if not args.json:
            yield _summary(frames, energies, log)
    finally:
        budget.close()
        if log is not None:
            log.close()


def _lines(args, deploy, said, done):
    """What is told of a batch: its frames as JSON, or the choices that were new."""
    choice, batch = done.choice, done.batch
    if args.json:
        for at, (prediction, exit, cycles) in enumerate(
            zip(batch.predictions.tolist(), batch.exits.tolist(), batch.frame_cycles.tolist())
        ):
            frame = {**choice.record, "frame": choice.frame + at, "prediction": prediction, "cycles": cycles}
            yield json.dumps({**frame, **({"exit": exit} if deploy.exits else {})}) + "\n"
    while said and said[0].frame <= choice.frame:
        new = said.pop(0)
        if not args.json:
            budget = "no budget" if new.budget_mj is None else f"budget {new.budget_mj:g} mJ"
            beyond = "" if new.within else ", beyond it: there is nothing less"
            option = new.option
            yield f"  frame {new.frame:,}: {budget}, {option.setting.name}, {option.energy_mj:.4f} mJ ({option.kind}){beyond}\n"


def _summary(frames: Counter, energies: Counter, log: EnergyLog) -> str:
    parts = ", ".join(f"{number:,} in {mode}{'' if exit is None else f', exit {exit}'}" for (mode, exit), number in frames.items())
    total = " and ".join(f"{energy:.3f} mJ {kind}" for kind, energy in energies.items())
    return f"  {sum(frames.values()):,} frames: {parts}; {total}; in {log.path}\n"
