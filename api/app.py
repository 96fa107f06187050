"""The whole product, put together. Read this first.

    bytes ─▶ report.py ─▶ domain (decide) ─▶ cargo journal ─▶ projections ─▶ track.py, follow.py ─▶ answers
                                                                                    │ each one a delivery,
                              settle.py ◀─ billing ◀─ usage ◀─ commerce journal ◀───┘ durable before the bytes leave

`assemble` puts routes and layers together and `man` sets the works of one database behind them; `build` does both, and
`create` does it for the server, by the environment. Tests let one application serve one database after another.
"""

import gc
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide
from litestar.middleware import DefineMiddleware
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, YamlRenderPlugin

from api import (
    adjusting,
    bank_desk,
    bulk_query,
    capture,
    catalogue_desk,
    crosscheck,
    declare,
    drill,
    dunning,
    eta,
    fapiao_desk,
    fees,
    follow,
    history_export,
    instruct,
    messages,
    operate,
    paying_desk,
    paying_notices,
    payment,
    periods,
    problems,
    provider_usage,
    quarantine,
    reconciling,
    report,
    sandbox,
    seller_desk,
    settle,
    sources,
    statements,
    stream,
    subscribe,
    subscription_health,
    surplus,
    track,
    verify,
    watching,
    workbook,
)
from api import alerts as alerts_api
from api import audit as audit_api
from api import statistics as statistics_api
from api import statistics_detail as statistics_detail_api
from api.asking import Asker
from api.capacity import Capacity, Places
from api.delivery import Deliveries
from api.entitlement import Entitlements, Telling
from api.facades import routes as facades
from api.followers import Followers
from api.govern import routes as govern
from api.govern.acts import Desk
from api.govern.book import Book
from api.identity import Authentication, Gatekeeper
from api.leases import Limiter
from api.limits import BODY_BYTES_MAX
from api.login import ca_routes, card_routes, door, oidc, provider, trust_routes
from api.login import issuer as issuer_routes
from api.login import routes as login
from api.login.issuer import Issuer
from api.login.tokens import Tokens
from api.login.vault import Vault
from api.pool import open_pool, open_readers
from api.portal import account as account_pages
from api.portal import bank as bank_pages
from api.portal import drill as drill_pages
from api.portal import dunning as dunning_pages
from api.portal import fapiao as fapiao_pages
from api.portal import fees as fees_pages
from api.portal import govern as govern_pages
from api.portal import months as month_pages
from api.portal import notice as notice_pages
from api.portal import pages
from api.portal import quarantine as quarantine_pages
from api.portal import reconciliation as reconciliation_pages
from api.portal import seller as seller_pages
from api.portal import statements as statement_pages
from api.portal import subscriptions as subscription_pages
from api.push import networks as push_networks
from api.push import routes as push_routes
from api.rates import Doorstep, Rates, policies
from api.register import Register
from api.settings import Settings
from api.trail import Trail, denied
from api.verify import Verifier
from api.wake import Wake
from api.way_out import WayOut
from billing import metering
from domain.deciding import Decider
from domain.journal import Journal
from domain.writer import Writer
from projections import (
    alerts,
    catalogue,
    clocks,
    feed_index,
    freshness,
    handovers,
    instructions,
    links,
    receivables,
    runner,
    statistics,
    timeline,
    usage,
    watches,
)
from projections.runner import ReadModel

READ_MODELS: tuple[ReadModel, ...] = (
    runner.model(timeline),
    runner.model(links),
    runner.model(feed_index),  # asks for the party's cargo, which is of the links
    runner.model(clocks),
    runner.model(freshness),
    runner.model(alerts),
    runner.model(instructions),
    runner.model(statistics),
    runner.model(catalogue),
    usage.model(metering.measure),
    runner.model(receivables),
    runner.model(handovers),
    runner.model(watches),
)
ROUTES: tuple[Any, ...] = (
    report.reports,
    capture.router,
    track.track,
    track.track_any,
    follow.feed,
    stream.stream,
    settle.usage,
    *periods.ROUTES,
    *workbook.ROUTES,
    *paying_desk.ROUTES,
    *payment.ROUTES,
    *paying_notices.ROUTES,
    *reconciling.ROUTES,
    *bank_desk.ROUTES,
    *fapiao_desk.ROUTES,
    *seller_desk.ROUTES,
    *adjusting.ROUTES,
    *dunning.ROUTES,
    *statements.ROUTES,
    *drill.ROUTES,
    *messages.ROUTES,
    *subscribe.ROUTES,
    *subscription_health.ROUTES,
    *watching.ROUTES,
    *fees.ROUTES,
    *surplus.ROUTES,
    *catalogue_desk.ROUTES,
    operate.health,
    operate.known_formats,
    *quarantine.ROUTES,
    *quarantine_pages.ROUTES,
    *sources.ROUTES,
    *statistics_api.ROUTES,
    *statistics_detail_api.ROUTES,
    *alerts_api.ROUTES,
    *declare.ROUTES,
    *instruct.ROUTES,
    *eta.ROUTES,
    *bulk_query.ROUTES,
    *history_export.ROUTES,
    *provider_usage.ROUTES,
    *verify.ROUTES,
    crosscheck.cross_check,
    sandbox.play,
    *card_routes.ROUTES,
    *issuer_routes.ROUTES,
    *provider.ROUTES,
    *oidc.ROUTES,
    *trust_routes.ROUTES,
    *ca_routes.ROUTES,
    *login.ROUTES,
    *audit_api.ROUTES,
    *govern.ROUTES,
    *account_pages.ROUTES,
    *subscription_pages.ROUTES,
    *govern_pages.ROUTES,
    *fees_pages.ROUTES,
    *statement_pages.ROUTES,
    *month_pages.ROUTES,
    *seller_pages.ROUTES,
    *reconciliation_pages.ROUTES,
    *bank_pages.ROUTES,
    *notice_pages.ROUTES,
    *fapiao_pages.ROUTES,
    *dunning_pages.ROUTES,
    *drill_pages.ROUTES,
    *pages.ROUTES,
    *push_routes.ROUTES,
    *push_networks.ROUTES,
    *facades.ROUTES,
)
OPENAPI = OpenAPIConfig(
    title="Kouan 口岸",
    version="1",
    path="/schema",
    render_plugins=[JsonRenderPlugin(path=["/", "/openapi.json"]), YamlRenderPlugin()],  # no page from elsewhere
)
OPEN_PATHS = [
    *("^/health", "^/schema", "^/static", "^/v1/formats", "^/v1/fees$"),
    *(r"^/\.well-known/", "^/token$", "^/userinfo$", paying_notices.OPEN),  # credentials of their own kind
]
GC_THRESHOLD = (100_000, 20, 20)  # a request makes thousands of records, and none of them holds another in a circle


GIVEN = (
    *("asker", "cargo", "cargo_decider", "commerce_decider", "deliveries", "desk", "entitlements", "followers"),
    *("driller", "messages", "notices"),
    *("issuer", "player", "pool", "register", "settings", "tokens", "trail", "verifier", "way_out"),
)
"""Of the works, what a route may ask for by its name."""
STATE = ("asker", "gatekeeper", "limiter", "places", "register", "tokens", "trail", "vault", "verifier")
"""What tests, layers and some routes find at the application."""
LAYERS = (
    DefineMiddleware(Doorstep),
    DefineMiddleware(Authentication, exclude=OPEN_PATHS, admitted=door.within_scope),
    DefineMiddleware(Rates),
    DefineMiddleware(Capacity),
    DefineMiddleware(Telling),
)
"""About every route, from the outside to the inside."""


def build(conninfo: str, settings: Settings | None = None) -> Litestar:
    """The web application on a database whose tables are there (api/schema.py); settings of the environment."""
    return man(assemble(), Works(conninfo, settings or Settings.read()))


def assemble() -> Litestar:
    """Routes and layers, with nobody at work behind them yet."""

    def given(name: str) -> Provide:
        return Provide(lambda: getattr(app.state.works, name), sync_to_thread=False)

    app = Litestar(
        route_handlers=ROUTES,
        dependencies={name: given(name) for name in GIVEN},
        middleware=LAYERS,
        before_request=door.asked,
        exception_handlers=problems.HANDLERS,
        after_exception=[denied],
        request_max_body_size=BODY_BYTES_MAX,
        lifespan=[lambda app: app.state.works.lifespan()],
        openapi_config=OPENAPI,
        logging_config=None,  # Litestar's own keeps a thread for each application, for ever; `create` sets up the log
    )
    return app


def man(app: Litestar, works: "Works") -> Litestar:
    """Set works behind the routes, in the place of any before, whose end has come."""
    app.state = State({"works": works, **{name: getattr(works, name) for name in STATE}})
    return app


class Works:
    """What runs behind the routes of one process."""

    def __init__(self, conninfo: str, settings: Settings) -> None:
        self.settings, self.vault = settings, Vault(settings)
        self.journals = [Journal(name, conninfo) for name in ("cargo", "commerce")]
        self.cargo, self.commerce = (Writer(journal) for journal in self.journals)
        self.pool = open_pool(conninfo)
        self.gatekeeper = Gatekeeper(self.pool, settings)
        self.cargo_decider, self.commerce_decider = (
            Decider(writer, self.pool) for writer in (self.cargo, self.commerce)
        )
        self.deliveries = Deliveries(self.commerce, self.pool)
        self.trail = Trail(self.commerce)
        self.tokens = Tokens(self.pool)
        self.issuer = Issuer(self.pool, self.vault)
        self.readers = open_readers(conninfo)
        self.register = Register(self.pool)
        self.desk = Desk(self.register, Book(self.pool), self.commerce_decider, self.trail, self.pool)
        self.entitlements = Entitlements(self.pool, self.deliveries.stream, self.trail)
        self.way_out = WayOut(self.readers, self.register, self.deliveries, self.entitlements)
        self.followers = Followers(Wake(conninfo), settings)
        self.driller = drill.Driller(self.pool, self.register, self.way_out, self.trail)
        self.messages = messages.Messages(self.pool, self.way_out, self.trail)
        self.asker = Asker(self.pool, self.way_out)
        self.verifier = Verifier(self.pool, self.way_out)
        self.player = sandbox.Player(self.cargo, self.cargo_decider, self.pool)
        self.notices = paying_notices.Notices(settings, self.pool)
        self.limiter = Limiter(self.pool, policies(settings))
        self.places = Places.of(settings)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """At the end whoever waits is answered, and what is queued is written."""
        yield
        await self.followers.wake.stop()
        asked = (self.player, self.limiter, self.asker, self.verifier, self.cargo_decider, self.commerce_decider)
        for each in (*asked, self.entitlements, self.trail, self.cargo, self.commerce):
            each.stop()
        self.readers.close()
        self.pool.close()
        for journal in self.journals:
            journal.close()


def create() -> Litestar:
    """The application for the server; `KOUAN_CONNINFO` says where the database is."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    app = build(os.environ["KOUAN_CONNINFO"])
    gc.collect()
    gc.freeze()  # what is there now stays; the collector need not walk over it again
    gc.set_threshold(*GC_THRESHOLD)
    return app
