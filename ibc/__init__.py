"""Implicit behavioural cloning: energies learned from demonstrations, searched at every step."""
