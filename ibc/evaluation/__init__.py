"""Closed-loop evaluation: rollouts, metrics, videos and reports."""
