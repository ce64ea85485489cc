"""A campaign of faults: hostile and damaged files, kills, races, and what the commands make of them."""
