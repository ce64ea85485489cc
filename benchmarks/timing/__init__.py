"""Timing: this project beside a plain implementation, and what its options cost."""
