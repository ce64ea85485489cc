"""Pushing a T-shaped block to a pose in the plane, from demonstrations of people (Chi et al. 2023)."""
