"""The run-time type checker of the tests: shapes and types of every annotated function of ``ibc``."""

from beartype import BeartypeConf, beartype

#: An int may stand for a float, as everywhere in Python.
checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
