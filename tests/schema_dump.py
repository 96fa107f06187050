"""The journals' tables as PostgreSQL itself describes them: `python -m tests.schema_dump > docs/schema.sql`.

pg_dump of the embedded server, without what changes from run to run or from server to server: comments, settings,
owner. Run it after adding a migration; tests/test_schema.py holds the file to the migrations.
"""

import re
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from api import embedded, unprivileged
from domain import schema

HEAD = """\
-- The journals' own tables, as all migrations in domain/migrations make them. Read models are rebuilt, not migrated.
-- Made by `python -m tests.schema_dump > docs/schema.sql`; do not edit.

"""
NOISE = re.compile(r"^(--.*|SET .*;|SELECT pg_catalog\.set_config.*;|\\(un)?restrict .*)$", re.MULTILINE)


def dump(conninfo: str) -> str:
    """The database's schema as SQL."""
    spec = find_spec(unprivileged.WHEEL)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    program = Path(next(iter(spec.submodule_search_locations))).parent / unprivileged.BIN / "pg_dump"
    password = str(conninfo_to_dict(conninfo).get("password") or "")
    done = subprocess.run(
        [program, "--schema-only", "--no-owner", "--restrict-key=x", make_conninfo(conninfo, password=None)],
        env={"PGPASSWORD": password, "LC_ALL": "C"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return normalised(done.stdout)


def normalised(text: str) -> str:
    """Without comments and settings, one empty line between statements."""
    return re.sub(r"\n{2,}", "\n\n", NOISE.sub("", text)).strip() + "\n"


def main() -> None:
    """Make a database by all migrations on a server that lives for this only, and print it."""
    with tempfile.TemporaryDirectory(prefix="kouan-schema-") as folder:
        home = Path(folder)
        conninfo = embedded.start(home, fast=True)
        try:
            with psycopg.connect(conninfo, autocommit=True) as connection:
                schema.migrate(connection)
            sys.stdout.write(HEAD + dump(conninfo))
        finally:
            embedded.stop(home)


if __name__ == "__main__":
    main()
