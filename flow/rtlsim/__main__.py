"""`python -m flow.rtlsim enable|disable|status` (flow/rtlsim/hook.py)."""

import sys

from flow.rtlsim.hook import main

sys.exit(main(sys.argv[1:]))
