"""Many frames as one array: xarray, Zarr and NetCDF."""
