"""Settings for the tests of this folder."""

from hypothesis import settings

# Compiling on first use and a busy machine make single examples slow now and then: time is not what is tested.
settings.register_profile("metrics", deadline=None)
settings.load_profile("metrics")
