"""`hsrgeo stats`: a row of numbers for each frame."""
