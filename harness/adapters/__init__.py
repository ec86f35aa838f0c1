"""Public file formats of other tools, read and written at the border and never used inside."""
