"""Volumes larger than memory: predicted block by block, stitched, written as OME-Zarr with a pyramid."""
