"""The documentation site and the pictures of its pages."""
