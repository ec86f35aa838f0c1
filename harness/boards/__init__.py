"""Boards that are there, from their evidence alone: built from files, checked, compared, explained; no model runs."""
