"""`hsrgeo verify`: an output folder against the sources it was made from."""
