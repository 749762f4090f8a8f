"""Networks, the zoo, and the segmenter with its safe save and load."""
