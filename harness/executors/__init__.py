"""Executors run a plan's stages; `local` uses this machine."""
