"""The serving simulator: exact, event-level, in integer picoseconds."""
