"""Gradient steps, checkpoints and run folders."""
