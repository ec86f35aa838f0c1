"""Backends: a checkpoint and token ids → completions, in a child process."""

RESTART_ENGINE = 75  # a generate job's exit code (EX_TEMPFAIL): start it again in a fresh process
