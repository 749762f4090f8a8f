"""Style transfer: target images are translated into the style of the source, which the segmenter knows."""
