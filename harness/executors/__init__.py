"""Executors run a plan's stages.

executor   the interface
local      the driver: which stage runs when, on the slots of this machine
ray        the same driver, whose trainers and engines run in a Ray cluster
units      what of a plan can run now, and together
places     where a child of the driver runs · slots, ray_pool: the two kinds
outcome    what was executed, reused, failed
"""
