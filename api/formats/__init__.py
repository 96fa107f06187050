"""Message formats, one file each: `read(body)` gives one Reading for every message found, and never raises."""
