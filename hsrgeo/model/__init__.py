"""What a frame is: pure values, no files, no GDAL."""
