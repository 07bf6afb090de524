"""`hsrgeo gauges`: fields, polygons and biases of gauges, and sums of the radar merged with them."""
