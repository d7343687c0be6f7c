"""What all tests share: the end of a run tells how many inputs each fuzz test tried."""

from tests.mutations import INPUTS_TRIED


def pytest_terminal_summary(terminalreporter):
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, count in report.user_properties:
            if name == INPUTS_TRIED and report.when == "call":
                terminalreporter.write_line(f"{report.nodeid}: {count} inputs tried")
