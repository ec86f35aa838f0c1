"""Data: built-in task families, hub data sets and files, all through `harness.data.sources`."""
