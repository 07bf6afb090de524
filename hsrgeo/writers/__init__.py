"""Frame -> file. The only home of GDAL."""
