"""Options, manifest, the one-frame pipeline and the parallel run. The only home of joblib."""
