"""`hsrgeo accumulate`: sums of rain, and rolling maxima."""
