"""Where robots are: localisation lost and found, maps and their versions, zones, trajectories against ground truth."""
