"""The assay: models x conditions x images, counted cell by cell."""
