"""A page for the browser that shows an output folder: its index, its files, and all of it as one file."""
