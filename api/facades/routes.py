"""The routers of the facades. Each answers with errors in its own standard's shape, also for what is not there."""

from typing import Any

from litestar import Router

from api import capture
from api.facades import dcsa, dcsa_subscriptions, epcis, epcis_queries, iftsta, one_record

dcsa_router = Router(
    dcsa.PATH,
    route_handlers=[
        dcsa.find_events,
        dcsa.find_event,
        *dcsa_subscriptions.ROUTES,
        dcsa.read_only,
        dcsa.nothing_here,
    ],
    exception_handlers=dcsa.HANDLERS,
    tags=["dcsa"],
)
epcis_router = Router(
    capture.PATH,
    route_handlers=[epcis.find_event, *epcis_queries.ROUTES, epcis.nothing_here],
    exception_handlers=epcis.HANDLERS,
    tags=["epcis"],
)
one_record_router = Router(
    one_record.PATH,
    route_handlers=[one_record.logistics_events],
    exception_handlers=one_record.HANDLERS,
    tags=["one record"],
)
ROUTES: tuple[Any, ...] = (dcsa_router, epcis.find_events, epcis_router, one_record_router, iftsta.iftsta)
