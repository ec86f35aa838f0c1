"""Under which names an `analysis` stage knows its inputs, and the files it leaves: what a manifest is read by."""

MEASURED, MODEL, REFERENCE, SHOWN = "measured ", "model ", "reference ", "demonstrations "
"""Before a row's name: its `analyze` stage, its checkpoint, that one's reference, its pass over demonstrations."""
SCORES = "scores"
ESTIMATES, PICTURES = "estimates.json", "pictures.json"
