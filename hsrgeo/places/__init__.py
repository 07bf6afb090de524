"""Gauges, basins and masks: read from files, and laid over a grid with the share of each cell."""
