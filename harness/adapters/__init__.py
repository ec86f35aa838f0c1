"""Adapters: our files ↔ public formats. Public formats are read and written here, never used inside."""
