"""Verdicts on the claims of the paper behind this project, from stored verdicts (definitions: docs/claims.md).

settings      what a recipe names before its run: baseline, low learning rate, primary cells, metric
registration  the first run records these with a time
selection     best of a sweep, picked on the dev benchmark
effects       paired differences over seeds and instructions
agreement     claim (c), from a values analysis
rule          effect and p-values → supported, not supported, cannot tell
report        all of it, as data; render writes it as Markdown and as a page
"""
