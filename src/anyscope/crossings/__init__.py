"""Crossings: every ordered pair of datasets x methods x seeds, with floor and ceiling, scored on target labels."""
