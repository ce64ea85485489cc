"""Studies, toy problems, timing and the tables of README and docs. Not part of the wheel."""
