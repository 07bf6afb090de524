"""A page that shows an output folder in the browser: made, written, saved as one file, or served."""
