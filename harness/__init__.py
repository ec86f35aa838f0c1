"""bridgebench's harness: recipe → plan → train → generate → judge → aggregate → leaderboard."""

__version__ = "0.1.0"
