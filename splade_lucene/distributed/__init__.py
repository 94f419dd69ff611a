"""More than one machine: encoding, building and searching on a Ray cluster."""
