"""Estimates → a leaderboard people can read: JSON, CSV, Markdown, figures and a static site.

build ─┬─ data.json           fields    which keys a row has, in which order
       ├─ leaderboard.csv/.md tables
       ├─ figures/            figures   dot-and-interval plots for documents
       ├─ pages/              corpus    prompts, completions and verdicts, in scripts of some hundred kB (markdown)
       └─ index.html, rows/,  view, row_view, charts, curves → pages (templates/)   what the site shows, escaped
          browse.html, compare.html

samples    verdicts and completions → what corpus takes
published  a published directory → the arguments of build
"""

from harness.leaderboard import published
from harness.leaderboard.build import build

__all__ = ["build", "published"]
