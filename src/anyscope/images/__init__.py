"""Readers, writers and the intensity convention."""
