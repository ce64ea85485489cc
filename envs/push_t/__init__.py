"""Pushing a T-shaped block to a pose in the plane: ``PushT-v0``, with demonstrations of people (Chi et al. 2023)."""
