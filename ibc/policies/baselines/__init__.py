"""Explicit policies to compare with."""
