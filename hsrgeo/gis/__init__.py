"""Beside the files: colours, legends, pictures, QGIS projects and VRTs."""
