"""What a recipe will cost, before anything is downloaded: stages, tokens, GPU-hours, memory, judge money.

settings  the recipe's ``assumptions``: sizes and mean lengths, declared because nothing is loaded to measure them
sketch    the recipe's graph without its model and data
gpus      peak speed and memory of named GPUs
work      a stage → tokens and floating-point operations
memory    which parallelism fits
estimate  all of it, as data; render prints it
"""
