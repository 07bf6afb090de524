"""Cells and groups of cells as rows: `hsrgeo sample` and `hsrgeo objects`."""
