"""Estimates → a leaderboard people can read: JSON, CSV, Markdown, figures and a static site.

build ─┬─ data.json           fields    which keys a row has, in which order
       ├─ leaderboard.csv/.md tables
       ├─ figures/            figures   dot-and-interval plots for documents
       └─ index.html, rows/   view → pages (templates/)   what the site shows, escaped
"""

from harness.leaderboard.build import build

__all__ = ["build"]
