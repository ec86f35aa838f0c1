"""Where boards and checkpoints go: a hub, tables, submissions. `harness.publish` writes directories."""
