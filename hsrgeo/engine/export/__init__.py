"""`hsrgeo export`: the one-frame pipeline, the manifest, and which frame is kept."""
