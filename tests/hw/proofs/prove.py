"""Inductive proofs with yosys' own solver: `python prove.py PROOF FILES… [NAME=VALUE…]`; exit code 1 where an assertion can fail.

The proof is a module, with those parameters, whose inputs are free; it holds a unit and states assertions about it, at every step after a first one in
reset. Memories become registers.
"""

import sys

from pyosys import libyosys

DEPTH = 4
"""Steps of the induction."""


def main(proof, *arguments):
    design = libyosys.Design()
    files, parameters = ([each for each in arguments if ("=" in each) == wanted] for wanted in (False, True))
    given = " ".join(f"-G {each}" for each in parameters)
    for command in (
        f"read_slang -j 1 -Wno-implicit-port-type-mismatch --top {proof} {given} {' '.join(files)}",
        f"hierarchy -check -top {proof}",
        "proc",
        "flatten",
        "memory_map",
        "opt -full",
        "chformal -lower",
        "opt_clean",
        f"sat -verify -set-assumes -prove-asserts -set-at 1 rst_n 0 -tempinduct -maxsteps {DEPTH} -seq 1 {proof}",
    ):
        libyosys.run_pass(command, design)


if __name__ == "__main__":
    main(*sys.argv[1:])
