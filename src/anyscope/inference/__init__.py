"""Tiled prediction, test-time augmentation, tables of objects."""
