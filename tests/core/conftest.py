"""Settings for every test of the core."""

from hypothesis import settings

# A shared machine may stall any example; time is measured by the benchmarks, never by a test.
settings.register_profile("r1vl", deadline=None)
settings.load_profile("r1vl")
