"""Fixtures for all tests, one file for each subject."""

pytest_plugins = ["tests.fixtures_postgres", "tests.fixtures_node", "tests.fixtures_api"]
