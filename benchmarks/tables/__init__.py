"""Tables of README and docs, one file a kind of result."""
