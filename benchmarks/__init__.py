"""Benchmarks: ours beside other libraries in one run. ``python -m benchmarks [NAME ...]``; all by default."""
