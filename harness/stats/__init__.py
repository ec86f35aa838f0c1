"""Statistics: seeded, and with the instruction as the unit of resampling."""
