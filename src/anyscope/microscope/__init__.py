"""A synthetic fluorescence microscope: specimen, optics, camera."""
