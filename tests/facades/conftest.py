"""The sample day once for all questions of the facades: they only ask."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from litestar.testing import TestClient
from psycopg.conninfo import make_conninfo

from api.app import build
from examples.day import deliveries
from tests.fixtures_node import Node
from tests.fixtures_postgres import _execute, drop


@pytest.fixture(scope="session")
def day(postgres: str, template: str) -> Iterator[Node]:
    """A node that has been told the sample day."""
    name = f"kouan_test_{uuid4().hex[:12]}"
    _execute(postgres, "CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY", name, template)
    conninfo = make_conninfo(postgres, dbname=name)
    with TestClient(build(conninfo), raise_server_exceptions=False) as client:
        node = Node(conninfo, client)
        for post in deliveries():
            answer = node.post(post.format, post.body)
            assert answer.status_code == 202, answer.text
        node.catch_up()
        yield node
    drop(postgres, name)
