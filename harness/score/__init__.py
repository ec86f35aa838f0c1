"""Stored verdicts → estimates, without any model: ``bridgebench score``.

request    what was asked for
reading    files → verdict lines of one benchmark, duplicates resolved, one list per model
missing    what has no verdict, by kind and by name, and when that fails a row
pairwise   rows of preferences (AlpacaEval, our own)
arena      rows of Arena-Hard, clustered by question; arena_style at equal style
ratings    rows of MT-Bench
alpaca_fit AlpacaEval's length-controlled win rate, with the files that it needs
report     the table on the screen
"""

from harness.score.request import Request
from harness.score.rows import Row, score

__all__ = ["Request", "Row", "score"]
