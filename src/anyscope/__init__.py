"""Segmentation that holds on any microscope."""
