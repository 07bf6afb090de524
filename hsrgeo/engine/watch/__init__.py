"""`hsrgeo watch`: rounds that keep an export current while frames arrive."""
