"""What hsrgeo wrote: the one truth about an output folder."""
