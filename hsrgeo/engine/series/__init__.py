"""`hsrgeo series`: tables of rain by time and place."""
