"""The bitstream of a build: made once in hours, it stays in the build folder and belongs to every deploy folder of that hardware, those of other
networks on the same engine too: the whole engine lies in engines/ beside the builds."""

import json
import shutil
from pathlib import Path
from typing import Any

from flow.atomic import write_text
from flow.build.deploy import BITSTREAM, HANDOFF, OF_ENGINE, engine_name, hardware_of, read, read_engine, vouch, vouch_for_engine
from flow.build.steps import Steps
from flow.errors import GatefoldError
from flow.kept import content_digest, replace_folder
from flow.paths import build_root

RECORD = "implementation/bitstream.json"
ENGINES = "engines"


def install(build: Path, contents: dict[str, Any], files: dict[str, Path]) -> None:
    """Add a bitstream to a build's deploy folder, in one step, and keep the engine for other networks' builds.

    Args:
        build: the build folder.
        contents: those of the modes.json that it was made from.
        files: file name in the deploy folder -> path of what was made, inside the build folder.

    Raises:
        GatefoldError: the build has changed since.
    """
    deploy = build / "deploy"
    write_text(build / RECORD, _record(build, contents, files))
    if hardware_of(read(deploy)) != hardware_of(contents):
        raise GatefoldError(f"{build} was built anew while its bitstream was made; type the command again.")

    def fill(part):
        shutil.copytree(deploy, part, dirs_exist_ok=True)
        for name, path in files.items():
            shutil.copyfile(path, part / name)
        vouch(part, contents)

    Steps(build).change("deploy", [deploy], lambda: replace_folder(deploy, fill))
    replace_folder(kept_engine(contents), lambda part: _keep(part, deploy, contents))


def _keep(part, deploy, contents):
    for name in OF_ENGINE:
        shutil.copyfile(deploy / name, part / name)
    vouch_for_engine(part, contents)


def _record(folder, contents, files):
    """Text of what vouches for files that lie below a folder."""
    named = {name: {"path": path.relative_to(folder).as_posix(), "sha256": content_digest(path)} for name, path in files.items()}
    return json.dumps({"hardware": hardware_of(contents), "files": named}, indent=1) + "\n"


def kept_engine(contents: dict[str, Any]) -> Path:
    """Folder of the whole engine of this hardware, where `install` has kept it."""
    return build_root() / ENGINES / engine_name(contents)


def found(build: Path, contents: dict[str, Any]) -> dict[str, Path]:
    """File name in the deploy folder -> path of what `install` was given for the hardware of `contents`, in this build or in one of another
    network; empty if neither is whole."""
    return _recorded(build, contents) or _shared(contents)


def _recorded(build, contents):
    try:
        record = json.loads((build / RECORD).read_text())
        if record["hardware"] != hardware_of(contents):
            return {}
        files = {name: (build / entry["path"], entry["sha256"]) for name, entry in record["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    whole = all(content_digest(path) == digest for path, digest in files.values())
    return {name: path for name, (path, _) in files.items()} if whole else {}


def _shared(contents):
    kept = kept_engine(contents)
    return {name: kept / name for name in (BITSTREAM, HANDOFF)} if holds_engine(kept, contents) else {}


def holds_engine(folder: Path, contents: dict[str, Any]) -> bool:
    """Whether a folder holds the whole engine of the hardware of `contents`, bitstream included."""
    try:
        engine = read_engine(folder)
    except GatefoldError:
        return False
    return hardware_of(engine) == hardware_of(contents) and BITSTREAM in engine["files"]
