"""Folders of images and labels, splits that cannot leak, patches."""
