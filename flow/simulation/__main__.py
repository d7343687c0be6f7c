"""`python -m flow.simulation enable|disable|status` (flow/simulation/hook.py)."""

import sys

from flow.simulation.hook import main

sys.exit(main(sys.argv[1:]))
