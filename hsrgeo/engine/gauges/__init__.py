"""`hsrgeo gauges`: fields, polygons and biases of gauges."""
