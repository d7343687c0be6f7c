"""Runs in the board program's environment: calls board.run.main for each line of arguments, for tests that call it often.

In: a line of JSON on file descriptor 0, [arguments, variables of the environment]. Out: a line of JSON on what was descriptor 1, with `code`, `out`, `err`
(what it and the libraries below it wrote to descriptors 1 and 2) and `peak` (most memory of this process so far, in MB).
"""

import json
import os
import resource
import sys
import tempfile
import traceback

sys.path[0] = os.getcwd()
from board import run  # noqa: E402


def call(arguments, environment):
    try:
        os.environ.update(environment)
        return run.main(arguments)
    except SystemExit as end:
        return end.code
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        for name in environment:
            del os.environ[name]


resource.setrlimit(resource.RLIMIT_AS, (1 << 32, 1 << 32))
answers = os.fdopen(os.dup(1), "w")
written = [tempfile.TemporaryFile() for _ in range(2)]
for number, file in enumerate(written, 1):
    os.dup2(file.fileno(), number)
for line in sys.stdin:
    code = call(*json.loads(line))
    texts = []
    for stream, file in zip((sys.stdout, sys.stderr), written):
        stream.flush()
        file.seek(0)
        texts.append(file.read().decode())
        file.seek(0)
        file.truncate()
    with open("/proc/self/status") as status:  # getrusage would tell the parent's, if that is larger
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
    print(json.dumps({"code": code, "out": texts[0], "err": texts[1], "peak": peak}), file=answers, flush=True)
