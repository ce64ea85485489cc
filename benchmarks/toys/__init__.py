"""Small problems that show the point."""
