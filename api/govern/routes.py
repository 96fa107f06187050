"""All routes of the register."""

from api.govern import agreements, datasets, handovers, parties, permissions, shipments

ROUTES = (
    *parties.ROUTES,
    *datasets.ROUTES,
    *permissions.ROUTES,
    *agreements.ROUTES,
    *shipments.ROUTES,
    *handovers.ROUTES,
)
