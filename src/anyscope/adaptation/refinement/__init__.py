"""Refinements: a trained segmenter goes on with images of the target."""
