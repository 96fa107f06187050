"""Fixtures for all tests, one file for each subject."""

import gc

pytest_plugins = ["tests.fixtures_postgres", "tests.fixtures_node", "tests.fixtures_api"]


def pytest_collection_finish() -> None:
    """What is imported stays: the collector need not walk over it for each of some thousand applications."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 5)
