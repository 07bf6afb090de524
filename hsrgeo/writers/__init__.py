"""Frame -> file, and files read back. The only home of GDAL."""
