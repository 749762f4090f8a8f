"""From one contingency pass to every score; morphology; protocols."""
