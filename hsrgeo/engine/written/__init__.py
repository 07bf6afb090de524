"""What hsrgeo wrote earlier, as a source."""
