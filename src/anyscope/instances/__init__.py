"""Targets for the heads, and decoders from maps to objects."""
