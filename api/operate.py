"""Operating: how the node is, and how far its read models have come."""

import asyncio

import msgspec
from litestar import get
from litestar.di import NamedDependency

from api.formats import registry as formats
from api.pool import Pool

LAG = """
SELECT name, position, (SELECT count(*) FROM read_model_dead_letters AS dead WHERE dead.name = model.name)
FROM read_model_positions AS model
ORDER BY name
"""
LAST = """
SELECT (SELECT coalesce(max(notification_id), 0) FROM cargo_events),
       (SELECT coalesce(max(notification_id), 0) FROM commerce_events)
"""


class ModelHealth(msgspec.Struct, frozen=True):
    name: str
    position: int
    dead_letters: int


class Health(msgspec.Struct, frozen=True):
    """Positions of the journals' ends and of the read models."""

    status: str
    cargo: int
    commerce: int
    models: list[ModelHealth]


@get("/health", tags=["operate"], opt={"cost": 0})
async def health(pool: NamedDependency[Pool]) -> Health:
    """Answers when the database does. No login."""

    def look() -> Health:
        with pool.connection() as connection:
            models = [ModelHealth(*row) for row in connection.execute(LAG)]
            row = connection.execute(LAST).fetchone()
        assert row is not None
        return Health("ok", row[0], row[1], models)

    return await asyncio.to_thread(look)


class FormatDescription(msgspec.Struct, frozen=True):
    name: str
    what: str


@get("/v1/formats", tags=["report"], sync_to_thread=False)
def known_formats() -> list[FormatDescription]:
    """The formats that `POST /v1/reports` takes. No login."""
    return [FormatDescription(name, what) for name, what in formats.DESCRIPTIONS.items()]
