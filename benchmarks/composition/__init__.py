"""The study of compositions: what trained energies can do that they were not trained for."""
