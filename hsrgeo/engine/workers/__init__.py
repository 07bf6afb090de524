"""Who does the work: threads, processes of this machine, a Dask cluster. The only home of joblib and distributed."""
