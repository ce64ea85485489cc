"""What the commands do, importable."""
