"""`hsrgeo cube`: many frames as one array."""
