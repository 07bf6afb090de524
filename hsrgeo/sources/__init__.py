"""Where frames are: files, folders, globs and tar archives, and the choice among them by time and product."""
