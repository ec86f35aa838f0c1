"""bridgebench's harness: recipe → plan → train → generate → judge → aggregate → leaderboard.

import harness
table = harness.load_board("quickstart")
"""

from harness.frames import load_board, load_verdicts

__version__ = "0.1.0"
__all__ = ["__version__", "load_board", "load_verdicts"]
