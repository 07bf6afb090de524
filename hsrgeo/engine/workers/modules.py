"""Modules that the command and its workers need not import."""

from __future__ import annotations

import sys


def leave_out_boto3() -> None:
    """Make ``import boto3`` fail as where it is not installed.

    rasterio imports it where it is there, which takes longer than any other import, for buckets that GDAL opens; here
    GDAL opens none. In a script's own process it stays: the script may use it.
    """
    sys.modules.setdefault("boto3", None)  # type: ignore[arg-type] # how Python marks a module that is not to be found
