"""Implicit behavioral cloning: energies learned from demonstrations, searched at every step."""

import os

# Read once, when torch loads the OpenMP runtime. By default its threads wait for work by spinning for milliseconds,
# on the very cores that this project's own threads (ibc.nn.workers) are to use.
os.environ.setdefault("GOMP_SPINCOUNT", "20000")
