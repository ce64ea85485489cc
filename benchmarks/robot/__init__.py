"""A policy outside of this process: what it costs, and whether it is the same."""
