"""Unsupervised domain adaptation: labels of a source, images of a target, methods by name, selection without labels."""
