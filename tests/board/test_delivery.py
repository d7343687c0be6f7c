"""A build on its way to a board: the .zip, the copy through a real ssh server, the installed package, other Pythons, 32-bit ARM."""

import contextlib
import getpass
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from flow.cli import main
from flow.paths import build_root
from tests.board.conftest import BOARD_PYTHON, ROOT, seal
from tests.board.test_python_versions import interpreter

# What runs on other machines and Pythons than the board's environment here: modes in turn, the same predictions and logits.
RUN = ["board/run.py", "--mode", "full,1/4,1/16", "--count", "6", "--json"]
# numpy of the images of PYNQ 2.7, 3.0 and 4.0.
IMAGES = {8: "1.20.3", 10: "1.21.6", 12: "1.26.4"}
# PYNQ 4 on Python 3.8 comes with a pynqmetadata that does not tell a clock's frequency.
BRIDGE = """
import runpy, sys
sys.path.insert(0, "")
from pynqmetadata.views.runtime import RuntimeMetadataParser as Parser
from board.simulated import SimulatedDevice
parse = SimulatedDevice.get_bitfile_metadata
def with_frequency(self, *arguments, **keywords):
    found = parse(self, *arguments, **keywords)
    for clock in found.clock_dict.values():
        clock.setdefault("frequency", 1000 / (clock["divisor0"] * clock["divisor1"]))
    return found
SimulatedDevice.get_bitfile_metadata = with_frequency
sys.argv[:] = sys.argv[1:]
from board.run import main
sys.exit(main())
"""


@pytest.fixture(scope="module")
def builds(build, tmp_path_factory):
    """A build folder with the build in it as resnet8."""
    folder = tmp_path_factory.mktemp("builds")
    (folder / "resnet8").mkdir()
    shutil.copytree(build / "deploy", folder / "resnet8" / "deploy")
    return folder


@pytest.fixture
def deliver(builds, monkeypatch, capsys):
    """Runs `gatefold deliver resnet8 …`; returns (code, stdout, stderr)."""
    monkeypatch.setenv("GATEFOLD_BUILD", str(builds))

    def call(*options):
        code = main(["deliver", "resnet8", *map(str, options)])
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def unpacked(deliver, tmp_path):
    """An empty folder into which the .zip was unpacked."""
    assert deliver("--output", tmp_path / "resnet8.zip")[0] == 0
    folder = tmp_path / "an empty folder"
    with zipfile.ZipFile(tmp_path / "resnet8.zip") as archive:
        archive.extractall(folder)
    return folder


def engine_of(deploy):
    """Name of the folder of a build's engine."""
    return json.loads((deploy / "modes.json").read_text())["engine"]


def results(text):
    told = json.loads(text)
    return {key: told[key] for key in ("model", "modes", "predictions", "logits", "frame_cycles", "tiles")}


@pytest.fixture
def expected(build, program):
    return results(program("--board-dir", build / "deploy", *RUN[1:]).out)


def away():
    """Environment without this clone."""
    return {name: value for name, value in os.environ.items() if name not in ("GATEFOLD_BUILD", "PYTHONPATH")}


def test_the_zip_runs_where_it_is_unpacked(unpacked, expected, board, builds, deliver):
    done = board(*RUN, cwd=unpacked, env=away())
    assert (done.returncode, done.stderr) == (0, "") and results(done.stdout) == expected
    names = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()} - {"energy.jsonl"}
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "board").rglob("*.py")}
    assert sources <= names and all(name.startswith("board/") for name in names)
    engine = f"board/engines/{engine_of(builds / 'resnet8' / 'deploy')}"
    delivered = {f"board/networks/resnet8/{name}" for name in ("modes.json", "network.bin", "samples.npz")}
    delivered |= {f"{engine}/{name}" for name in ("engine.json", "interface.json", "accelerator.so", "accelerator.hwh")}
    assert {name for name in names if name.count("/") > 2 and name.startswith(("board/engines/", "board/networks/"))} == delivered
    code, out, err = deliver()
    assert (code, out) == (0, f"{builds / 'resnet8' / 'resnet8.zip'}\n") and "has no bitstream yet" in err


def test_a_bitstream_travels_too(deliver, builds, tmp_path):
    bitstream = builds / "resnet8" / "deploy" / "accelerator.bit"
    bitstream.write_bytes(b"bits")
    try:
        code, _, err = deliver("--output", tmp_path / "x.zip")
    finally:
        bitstream.unlink()
    assert (code, err) == (0, "")
    engine = engine_of(builds / "resnet8" / "deploy")
    assert f"board/engines/{engine}/accelerator.bit" in zipfile.ZipFile(tmp_path / "x.zip").namelist()


def test_a_build_from_before_the_bitstream_takes_it_along(deliver, builds, tmp_path):
    """From engines/, where another build of the engine has left it; a damaged one stays."""
    deploy = builds / "resnet8" / "deploy"
    engine = builds / "engines" / engine_of(deploy)
    engine.mkdir(parents=True)
    try:
        for name in ("engine.json", "interface.json", "accelerator.so", "accelerator.hwh"):
            shutil.copy(deploy / name, engine)
        (engine / "accelerator.bit").write_bytes(b"bits")
        seal(engine)
        for whole in (True, False):
            code, _, err = deliver("--output", tmp_path / "x.zip")
            archive, inside = zipfile.ZipFile(tmp_path / "x.zip"), f"board/engines/{engine.name}"
            assert code == 0 and ("has no bitstream yet" in err) != whole
            assert (f"{inside}/accelerator.bit" in archive.namelist()) == whole
            assert archive.read(f"{inside}/engine.json") == ((engine if whole else deploy) / "engine.json").read_bytes()
            (engine / "accelerator.bit").write_bytes(b"other")
    finally:
        shutil.rmtree(builds / "engines")


def test_what_is_not_whole_is_not_delivered(deliver, builds, tmp_path):
    file = builds / "resnet8" / "deploy" / "interface.json"
    whole = file.read_bytes()
    file.write_bytes(whole + b" ")
    try:
        code, _, err = deliver("--output", tmp_path / "x.zip")
    finally:
        file.write_bytes(whole)
    assert code == 2 and "is damaged or of another build" in err and not (tmp_path / "x.zip").exists()


def test_installed_by_pip(unpacked, expected, tmp_path, board):
    """PYNQ finds the overlay and delivers the notebook; the programs run from anywhere."""
    target = tmp_path / "site"
    done = board("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation", "--no-index", "--target", target, unpacked / "board")  # fmt: skip
    assert done.returncode == 0, done.stderr
    environment = {**away(), "PYTHONPATH": str(target)}
    done = subprocess.run(
        [target / "bin" / "gatefold-board", *RUN[1:]], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0 and results(done.stdout) == expected, done.stderr
    engine = engine_of(unpacked / "board" / "networks" / "resnet8")
    script = f"import board.simulated, pynq, sys; overlay = pynq.Overlay('{engine}/accelerator.so'); print(overlay.bitfile_name, *overlay.ip_dict)"
    done = board("-W", "ignore", "-c", script, cwd=tmp_path, env=environment)
    assert done.stdout.split()[-3:] == [
        str(target / "board/engines" / engine / "accelerator.so"),
        "gatefold_0",
        "processing_system7_0",
    ], done.stderr
    script = "import board.simulated, sys; sys.argv = ['pynq-get-notebooks', '--path', sys.argv[1], 'gatefold']; from pynq._cli.get_notebooks import main; main()"
    done = board("-W", "ignore", "-c", script, tmp_path, cwd=tmp_path, env=environment)
    assert list(tmp_path.glob("gatefold/gatefold.ipynb")), done.stdout + done.stderr


@contextlib.contextmanager
def ssh_server(folder, path):
    """A real ssh server of this user, whose programs are looked for in `path`; ssh knows it as "board" (a folder for PATH is yielded)."""
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if sshd is None or shutil.which("ssh") is None:
        pytest.skip("no ssh server is installed (Debian: apt-get install openssh-server)")
    for key in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # what the server of root wants, on every system that starts it itself
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "Port": port, "ListenAddress": "127.0.0.1", "HostKey": folder / "host", "AuthorizedKeysFile": folder / "user.pub", "StrictModes": "no",
        "UsePAM": "no", "PermitRootLogin": "yes", "PidFile": "none", "SetEnv": f"PATH={path}",
    }  # fmt: skip
    (folder / "sshd_config").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    (folder / "config").write_text(
        f"Host board\n HostName 127.0.0.1\n Port {port}\n User {getpass.getuser()}\n IdentityFile {folder / 'user'}\n IdentitiesOnly yes\n"
        " UserKnownHostsFile /dev/null\n StrictHostKeyChecking no\n BatchMode yes\n LogLevel ERROR\n"
    )
    (folder / "bin").mkdir()
    client = folder / "bin" / "ssh"
    client.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {shlex.quote(str(folder / "config"))} "$@"\n')
    client.chmod(0o755)
    server = subprocess.Popen([sshd, "-D", "-e", "-f", folder / "sshd_config"], stderr=subprocess.PIPE, text=True)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield folder / "bin"
    finally:
        server.terminate()
        server.communicate(timeout=20)


@pytest.mark.parametrize("how", ["rsync", "tar"])
def test_deploy_over_ssh(deliver, builds, expected, board, tmp_path, monkeypatch, how):
    if how == "rsync" and shutil.which("rsync") is None:
        pytest.skip("rsync is not installed")
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("sh", "bash", "mkdir", "tar", "find", "rm", "true", *(["rsync"] if how == "rsync" else [])):
        (programs / name).symlink_to(shutil.which(name))
    target = tmp_path / "on the board"
    network, engine = "board/networks/resnet8", f"board/engines/{engine_of(builds / 'resnet8' / 'deploy')}"
    stays = ("board/networks/other/modes.json", "board/engines/other/engine.json", "energy.jsonl")
    goes = ("board/old.py", f"{network}/old.mem", f"{engine}/old.bin")
    for name in (*stays, *goes):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_text("old")
    (tmp_path / "server").mkdir()
    with ssh_server(tmp_path / "server", programs) as clients:
        monkeypatch.setenv("PATH", f"{clients}:{os.environ['PATH']}")
        for options in ((), (), ("--network-only",)):  # the last beside the engine that is there
            for name in goes[: 2 if options else 3]:
                (target / name).write_text("old")
            code, out, err = deliver("--host", "board", "--folder", target, *options)
            assert code == 0 and f"(by {how})" in out, err
            assert all((target / name).read_text() == "old" for name in stays)
            assert not [name for name in goes if (target / name).exists()]
        (target / engine / "accelerator.bit").write_text("of the board")  # which this build has not
        assert deliver("--host", "board", "--folder", target)[0] == 0
        assert (target / engine / "accelerator.bit").read_text() == "of the board" and (target / stays[0]).read_text() == "old"
        (target / engine / "accelerator.bit").unlink()
        code, _, err = deliver("--host", "board", "--folder", "/proc/nowhere")
        assert code == 2 and err.startswith("gatefold: board does not take the files") and len(err.splitlines()) == 1
    done = board(*RUN, "--model", "resnet8", cwd=target, env=away())
    assert done.returncode == 0 and results(done.stdout) == expected, done.stderr


def test_hosts_that_are_none(deliver, monkeypatch, tmp_path):
    for host, said in (("", "names no board"), ("-oProxyCommand=touch pwned", "names no board"), ("nowhere.invalid", "nowhere.invalid does not take the files")):  # fmt: skip
        code, _, err = deliver(f"--host={host}")
        assert code == 2 and said in err and len(err.splitlines()) == 1, err


def cached(name, make):
    """A folder in the build folder's cache that `make(folder)` fills once; whatever goes wrong skips the test."""
    folder = build_root() / "cache" / "elsewhere" / name
    if not folder.exists():
        part = folder.with_name(f"{name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        try:
            make(part)
        except (subprocess.SubprocessError, OSError) as problem:
            said = (getattr(problem, "stderr", None) or b"").decode()[-300:]
            pytest.skip(f"{name} cannot be made here ({problem}): {said}")
        part.rename(folder)
    return folder


def call(*words, **settings):
    return subprocess.run([str(word) for word in words], check=True, capture_output=True, timeout=500, **settings)


@pytest.mark.slow
@pytest.mark.parametrize("minor", IMAGES)
def test_the_zip_on_the_pythons_of_the_images(unpacked, expected, minor):
    """With their numpy, and PYNQ 4 for the simulated board: the older ones have none."""
    python = interpreter(minor)
    if python is None:
        pytest.skip(f"no Python 3.{minor} is installed, neither on PATH nor by pyenv")
    packages = [f"numpy=={IMAGES[minor]}", "pynq==4.0.0"]

    def make(folder):
        call(python, "-m", "venv", folder)
        install = [folder / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        call(*install, "setuptools<70", "wheel")
        call(*install, "--no-build-isolation", *packages)

    python = cached(f"python3.{minor}-{'-'.join(packages)}", make) / "bin" / "python"
    command = [python, "-W", "ignore", *(["-c", BRIDGE] if minor == 8 else []), *RUN]
    done = subprocess.run(command, cwd=unpacked, env=away(), capture_output=True, text=True, timeout=200)
    assert done.returncode == 0 and results(done.stdout) == expected, done.stderr
    seen = call(python, "-c", "import sys, numpy; print(sys.version_info[1], numpy.__version__)").stdout.decode().split()
    assert seen == [str(minor), IMAGES[minor]]


@pytest.mark.slow
def test_the_zip_on_32_bit_arm(unpacked, expected, build, tmp_path):
    """Debian's armhf Python and numpy in emulation, PYNQ 4, the accelerator cross-compiled: what an ARM board sees."""
    qemu, compiler = shutil.which("qemu-arm-static"), shutil.which("arm-linux-gnueabihf-g++")
    for tool, found, package in (
        ("qemu-arm-static", qemu, "qemu-user-static"), ("arm-linux-gnueabihf-g++", compiler, "g++-arm-linux-gnueabihf"),
        ("debootstrap", shutil.which("debootstrap"), "debootstrap"), ("root's rights", os.geteuid() == 0, "no package"),
    ):  # fmt: skip
        if not found:
            pytest.skip(f"{tool} is missing (Debian: {package})")

    def make(folder):
        names = "python3-minimal,python3-numpy,python3-cffi,python3-ply,python3-distutils"
        call("debootstrap", "--arch=armhf", "--foreign", "--variant=minbase", f"--include={names}", "bookworm", folder, "http://deb.debian.org/debian")  # fmt: skip
        for package in (folder / "var/cache/apt/archives").glob("*.deb"):
            call("dpkg-deb", "-x", package, folder)
        libraries = folder / "usr/lib/arm-linux-gnueabihf"
        for library in (*libraries.glob("blas/*.so*"), *libraries.glob("lapack/*.so*")):
            shutil.copy(library, libraries)

    def compiled(folder):  # the one package of PYNQ's that is compiled, apart from numpy and cffi
        version = next(line.strip() for line in (ROOT / "requirements/board.txt").open() if line.startswith("pydantic_core=="))
        call(BOARD_PYTHON, "-m", "pip", "download", "--quiet", "--no-deps", "--platform", "manylinux_2_17_armv7l", "--python-version", "3.11", "--only-binary", ":all:", "--dest", folder, version)  # fmt: skip
        for wheel in folder.glob("*.whl"):
            zipfile.ZipFile(wheel).extractall(folder)

    root, core = cached("armhf", make), cached("armhf-pydantic-core", compiled)
    packages = tmp_path / "packages"
    packages.mkdir()
    here = json.loads(call(BOARD_PYTHON, "-c", "import json, sysconfig; print(json.dumps(sysconfig.get_path('purelib')))").stdout)
    for entry in Path(here).iterdir():
        if not entry.name.startswith(("numpy", "cffi", "_cffi", "pycparser", "pydantic_core", "PIL", "cv2")):
            (packages / entry.name).symlink_to(entry)

    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "g++").write_text(f'#!/bin/sh\nexec {compiler} "$@"\n')
    (programs / "g++").chmod(0o755)
    script = (
        "import sys; from pathlib import Path; from flow.build.deploy import hardware, read; "
        "from flow.simulation.accelerator import compile_accelerator; deploy, work = map(Path, sys.argv[1:]); "
        "compile_accelerator(work, work / 'accelerator.so', *hardware(read(deploy), work / 'rtl'))"
    )
    call(sys.executable, "-c", script, build / "deploy", tmp_path / "arm", cwd=ROOT, env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"})  # fmt: skip
    engine = unpacked / "board" / "engines" / engine_of(unpacked / "board" / "networks" / "resnet8")
    shutil.copy(tmp_path / "arm" / "accelerator.so", engine)
    seal(engine)

    python = [qemu, "-L", root, root / "usr/bin/python3.11", "-W", "ignore"]
    environment = {**away(), "PYTHONPATH": f"{core}:{packages}"}
    bits = call(*python, "-c", "import sys, numpy; print(sys.maxsize, numpy.dtype(int).itemsize)", env=environment).stdout.split()
    assert bits == [b"2147483647", b"4"]
    done = subprocess.run([*python, *RUN], cwd=unpacked, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and results(done.stdout) == expected, done.stderr
