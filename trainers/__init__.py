"""Trainers: a spec in, a Hugging Face checkpoint out. Knows nothing of the harness.

    python -m trainers SPEC.json

Kinds: convert → tokenize → reference → train; every kind leaves a directory whose ``manifest.json`` is written last.
"""

__version__ = "0.1.0"
