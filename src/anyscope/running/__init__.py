"""Runs on disk: whole files or none, run folders that resume, progress."""
