"""Frame -> Frame, and frames out of nothing."""
