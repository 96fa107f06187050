"""Whose cargo a number is: the parties named for a paper, and what belongs to it.

A *paper* (bill of lading, booking, air waybill, rail note, declaration) has parties: those that were named for the
consignment, and those that a declaration is about. A party sees its papers, and what is linked with one of them
directly, for as long as that link stands; no further, for behind a master bill stand other people's house bills. A
declaration is its own parties' alone, under both of its numbers. Part of the read model `links` (projections/links.py),
whose transaction it shares: it is worked out anew for the subjects that a batch touches. Parties are unified social
credit codes, or the codes by which the register knows them (domain/party.py).
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import psycopg

from domain.declaration import Amended, CompletionLodged, Lodged
from domain.declaring import PARTIES, Content
from domain.journal import Entry
from domain.shipment import PartyNamed, PartyWithdrawn
from projections import sight

TABLES = ("party_papers", "party_cargo")
TABLE = """
CREATE TABLE IF NOT EXISTS party_papers (
    paper text COLLATE "C" NOT NULL,         -- kind:number
    party text COLLATE "C" NOT NULL,
    role  text COLLATE "C" NOT NULL,         -- consignor, consignee, …; of a declaration trader, owner, agent, typist
    PRIMARY KEY (paper, party, role)
);
CREATE TABLE IF NOT EXISTS party_cargo (
    subject text COLLATE "C" NOT NULL,       -- a paper of the party, or what is linked with one
    party   text COLLATE "C" NOT NULL,
    PRIMARY KEY (subject, party)
);
CREATE INDEX IF NOT EXISTS party_cargo_party ON party_cargo (party, subject);
GRANT SELECT ON party_cargo TO kouan_reader;
""" + sight.policy("timeline")  # which asks for the party's cargo, and is made anew with its table

# --- project ---

NAMED = """
INSERT INTO party_papers (paper, party, role)
SELECT * FROM unnest(%b::text[], %b::text[], %b::text[])
ON CONFLICT DO NOTHING
"""
WITHDRAWN = "DELETE FROM party_papers WHERE (paper, party, role) = (%b, %b, %b)"
REPLACED = "DELETE FROM party_papers WHERE paper = %b"
LINKED = """
SELECT other FROM links WHERE subject = ANY(%b)
UNION
SELECT subject FROM links WHERE other = ANY(%b)
"""
OF_SUBJECTS = """
SELECT DISTINCT touched.subject, named.party
FROM unnest(%b::text[]) AS touched (subject)
CROSS JOIN LATERAL (
    SELECT party FROM party_papers WHERE paper = touched.subject
    UNION ALL
    SELECT party_papers.party
    FROM links JOIN party_papers ON party_papers.paper = links.other
    WHERE links.subject = touched.subject AND links.stands
      AND (touched.subject NOT LIKE 'declaration:%%' OR links.other LIKE 'declaration:%%')  -- its other number
    UNION ALL
    SELECT party_papers.party
    FROM links JOIN party_papers ON party_papers.paper = links.subject
    WHERE links.other = touched.subject AND links.stands
      AND (touched.subject NOT LIKE 'declaration:%%' OR links.subject LIKE 'declaration:%%')
) AS named
"""
GONE = """
DELETE FROM party_cargo
WHERE subject = ANY(%b)
  AND (subject, party) NOT IN (SELECT * FROM unnest(%b::text[], %b::text[]))
"""
ADDED = """
INSERT INTO party_cargo (subject, party)
SELECT * FROM unnest(%b::text[], %b::text[])
ON CONFLICT DO NOTHING
"""
WITH_PARTIES = "SELECT DISTINCT paper FROM party_papers WHERE paper = ANY(%b)"
SHARED = ("container:", "truck:", "manifest:")


def project(cursor: psycopg.Cursor[Any], entries: Sequence[Entry], pairs: Collection[tuple[str, str]]) -> None:
    """Add what a batch says of parties. `pairs`: the links that are new in it, or whose standing has changed."""
    papers = _name(cursor, entries)
    touched = set(papers)
    if papers:
        touched.update(row[0] for row in cursor.execute(LINKED, (list(papers), list(papers)), prepare=True))
    touched.update(_concerned(cursor, pairs))
    if touched:
        _tell(cursor, sorted(touched))


def _concerned(cursor: psycopg.Cursor[Any], pairs: Collection[tuple[str, str]]) -> set[str]:
    """The subjects of those pairs of which one has parties: most have none."""
    papers = {subject for pair in pairs for subject in pair if not subject.startswith(SHARED)}
    if not papers:
        return set()
    found = {row[0] for row in cursor.execute(WITH_PARTIES, (list(papers),), prepare=True)}
    return {subject for pair in pairs if not found.isdisjoint(pair) for subject in pair}


def _name(cursor: psycopg.Cursor[Any], entries: Iterable[Entry]) -> set[str]:
    """Record the parties of papers, one after another. Returns the papers."""
    papers = set()
    for entry in entries:
        match entry.fact:
            case PartyNamed(role=role, party=party):
                cursor.execute(NAMED, ([entry.stream], [party], [role]), prepare=True)
            case PartyWithdrawn(role=role, party=party):
                cursor.execute(WITHDRAWN, (entry.stream, party, role), prepare=True)
            case Lodged(content=Content() as content) | Amended(content=Content() as content):
                _declare(cursor, entry, content)
            case CompletionLodged(content=content):
                _declare(cursor, entry, content)
            case _:
                continue
        papers.add(entry.stream)
    return papers


def _declare(cursor: psycopg.Cursor[Any], entry: Entry, content: Content) -> None:
    """The latest version of a declaration says whose it is; who entered it may see it too."""
    named = [(getattr(content, role).uscc, role) for role in PARTIES]
    by = getattr(entry.fact, "party", "")
    told = sorted({(party, role) for party, role in (*named, (by, "typist")) if party})
    cursor.execute(REPLACED, (entry.stream,), prepare=True)
    parties, roles = [party for party, _ in told], [role for _, role in told]
    cursor.execute(NAMED, ([entry.stream] * len(told), parties, roles), prepare=True)


def _tell(cursor: psycopg.Cursor[Any], subjects: list[str]) -> None:
    """Work out anew whose cargo these subjects are."""
    rows = cursor.execute(OF_SUBJECTS, (subjects,), prepare=True).fetchall()
    told = ([row[0] for row in rows], [row[1] for row in rows])
    cursor.execute(GONE, (subjects, *told), prepare=True)
    if rows:
        cursor.execute(ADDED, told, prepare=True)


# --- queries ---

MINE = "SELECT DISTINCT subject FROM party_cargo WHERE party = ANY(%b) AND subject = ANY(%b)"
WHOSE = "SELECT party, subject FROM party_cargo WHERE party = ANY(%b) AND subject = ANY(%b)"
ROLES = "SELECT party, role FROM party_papers WHERE paper = %b ORDER BY role, party"


def mine(connection: psycopg.Connection[Any], parties: Sequence[str], subjects: Sequence[str]) -> set[str]:
    """Which of these subjects are cargo of one of these parties."""
    if not parties or not subjects:
        return set()
    with connection.cursor(binary=True) as cursor:
        return {row[0] for row in cursor.execute(MINE, (list(parties), list(subjects)), prepare=True)}


def whose(connection: psycopg.Connection[Any], parties: Sequence[str], subjects: Sequence[str]) -> dict[str, set[str]]:
    """The same for several who ask together: by party, which of these subjects are its cargo."""
    told: dict[str, set[str]] = {}
    if parties and subjects:
        with connection.cursor(binary=True) as cursor:
            for party, subject in cursor.execute(WHOSE, (list(parties), list(subjects)), prepare=True):
                told.setdefault(party, set()).add(subject)
    return told


def roles(connection: psycopg.Connection[Any], paper: str) -> list[tuple[str, str]]:
    """(party, role) of a paper."""
    with connection.cursor(binary=True) as cursor:
        return [(row[0], row[1]) for row in cursor.execute(ROLES, (paper,), prepare=True)]
