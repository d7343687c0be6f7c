#!/usr/bin/env bash
# Makes one of the two Python environments of this project, resumably.
#
#   requirements/setup.sh flow     .venv        compiler, training, simulation, tests
#   requirements/setup.sh board    .venv-board  board program (pynq 4.0.0, numpy < 2)
#
# Every finished step leaves a stamp that carries the hash of what it was made from: a second call does nothing, an
# interrupted one goes on where it stopped, a changed lock is installed again. PYTHON names the interpreter
# (default python3.11). Exit code 2 and one sentence where a program is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

which_environment=${1:-}
python=${PYTHON:-python3.11}

fail() { echo "gatefold: $*" >&2; exit 2; }

need() {  # program, what it is for, how to get it
    command -v "$1" >/dev/null 2>&1 || fail "$1 is missing, which $2 needs; install it ($3) and type the command again."
}

need "$python" "every command" "Debian/Ubuntu: apt-get install python3.11 python3.11-venv; or set PYTHON to your Python 3.11"
[ "$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = 3.11 ] ||
    fail "$python is not Python 3.11; install Python 3.11 or set PYTHON to it (make PYTHON=/path/to/python3.11)."
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
    fail "$python cannot make virtual environments; install its venv module (Debian/Ubuntu: apt-get install python3.11-venv)."

case $which_environment in
flow)
    folder=.venv lock=requirements/flow.txt
    need g++ "Verilator's simulations" "Debian/Ubuntu: apt-get install g++"
    need make "Verilator's simulations" "Debian/Ubuntu: apt-get install make"
    need perl "Verilator" "Debian/Ubuntu: apt-get install perl"
    ;;
board)
    folder=.venv-board lock=requirements/board.txt
    ;;
*)
    fail "say which environment to set up: requirements/setup.sh flow, or requirements/setup.sh board."
    ;;
esac

hash_of() { cat "$@" | sha256sum | cut -c1-16; }
done_with() { [ "$(cat "$folder/.stamp-$1" 2>/dev/null)" = "$2" ]; }
stamp() {  # once what it vouches for is on the disk
    sync -f "$folder"
    echo "$2" >"$folder/.stamp-$1.part"
    mv "$folder/.stamp-$1.part" "$folder/.stamp-$1"
}
said=
say() { echo "gatefold set-up ($which_environment): $*"; said=yes; }
quiet=--quiet; [ ! -t 1 ] || quiet=  # pip's progress bars only where somebody watches
pip() { "$folder/bin/python" -m pip --disable-pip-version-check install --no-warn-script-location $quiet "$@"; }
pinned() { grep -E "^$1==" "$lock"; }

started=$SECONDS
made_from="$("$python" -c 'import sys; print(sys.version)' | tr ' \n' '--') $PWD"
if ! done_with python "$made_from"; then
    say "1/4 new environment in $folder"
    "$python" -m venv "$folder"
    stamp python "$made_from"
fi

lock_hash=$(hash_of "$lock")
if ! done_with build "$lock_hash"; then
    pip "$(pinned setuptools)"
    stamp build "$lock_hash"
fi

if [ "$which_environment" = flow ] && ! done_with torch "$(pinned torch)"; then
    say "2/4 PyTorch (the largest download)"
    pip --constraint "$lock" "$(pinned torch)"
    stamp torch "$(pinned torch)"
fi

if ! done_with packages "$lock_hash"; then
    say "3/4 $(grep -c == "$lock") pinned packages"
    pip --no-deps --no-build-isolation --requirement "$lock"
    stamp packages "$lock_hash"
fi

if [ "$which_environment" = flow ]; then
    project_hash=$(hash_of pyproject.toml)
    if ! done_with project "$project_hash"; then
        say "4/4 the gatefold command"
        pip --no-deps --no-build-isolation --editable .
        stamp project "$project_hash"
    fi
fi
[ -z "$said" ] || say "ready after $((SECONDS - started)) s"
