"""A folder or module for each task: options in, a run that yields what became of each frame."""
