"""What a receiver took, for the journal: one fact for each message, however often it was sent."""

from datetime import datetime

from api.push.reading import Parcel
from domain.delivery import PushAccepted
from domain.fact import digest_id
from domain.intent import Intent, NewFact


def accepted(parcel: Parcel, stream: str, tariff: str, now: datetime) -> list[Intent]:
    """The ids are derived: the journal drops those that it has."""
    served = parcel.served
    owner, endpoint = served.target.owner, str(served.held.endpoint.endpoint_id)
    intents = []
    for tried in parcel.round.tried:
        if tried.verdict != "taken":
            continue
        message, message_id = tried.work.message, tried.work.message_id
        fact = PushAccepted(
            happened_at=tried.at,
            recorded_at=now,
            account=owner.account,
            item=served.item.code,
            item_class=served.item.item_class,
            endpoint=endpoint,
            message=message_id,
            subject=message.subject,
            count=0 if message.free else 1,
            reversals=message.reversals,
            tariff=tariff,
            party=owner.party,
            waived=parcel.delivered.waived,
            cause=message.cause,
        )
        intents.append(Intent(facts=[NewFact(stream, digest_id("push", endpoint, message_id), fact)]))
    return intents
