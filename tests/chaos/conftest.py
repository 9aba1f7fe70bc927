"""The table of all rounds, as the last thing a run says, also one that was interrupted."""

import pytest

from tests.chaos.series import Series

SERIES = pytest.StashKey[Series]()


def pytest_configure(config: pytest.Config) -> None:
    """Begin a series."""
    config.stash[SERIES] = Series()


@pytest.fixture
def series(request: pytest.FixtureRequest) -> Series:
    """Return the rounds of this run."""
    return request.config.stash[SERIES]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how all rounds ended."""
    # Run as a part of other tests, this file is read too late to begin one.
    found = config.stash.get(SERIES, None)
    if found is not None and found.records:
        terminalreporter.section("all rounds")
        terminalreporter.write_line(found.table())
