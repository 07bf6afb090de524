"""The importer ``kma`` of pysteps; the entry point ``pysteps.plugins.importers``.

pysteps imports this module whenever it is imported itself, so that nothing else is imported here. It finds the
importer by the function's name, and fills ``{extra_kwargs_doc}`` into its docstring.
"""

from __future__ import annotations

from typing import Any


def import_kma(
    filename: str,
    bbox: tuple[float, float, float, float] | None = None,
    zr: tuple[float, float] = (200.0, 1.6),
    **kwargs: Any,  # noqa: ANN401 - of pysteps
) -> tuple[Any, None, dict[str, Any]]:
    """Read a KMA radar composite as rain rate.

    Parameters
    ----------
    filename: str
        A file ``RDR_CMP_*.bin.gz`` of reflectivity or rain rate.
    bbox: tuple
        (west, south, east, north) in degrees that the frame is cut to.
    zr: tuple
        A and B of Z = A R^B, for frames of reflectivity.

    {extra_kwargs_doc}

    Returns:
    -------
    precipitation : array
        Rain rate in mm/h; 0 where there is no rain, NaN where nothing was observed.
    quality : None
    metadata : dict
        As pysteps describes it for its importers.
    """
    from hsrgeo.model.times import frame_length  # noqa: PLC0415 - see above
    from hsrgeo.products.rain import rain_frame  # noqa: PLC0415
    from hsrgeo.reading import open_frame  # noqa: PLC0415

    del kwargs  # pysteps takes its own from them
    frame = rain_frame(open_frame(filename), zr)
    if bbox is not None:
        frame = frame.crop(bbox=bbox)
    left, bottom, right, top = frame.bounds
    return (
        frame.physical(),
        None,
        {
            "projection": frame.grid.proj,
            "x1": left,
            "y1": bottom,
            "x2": right,
            "y2": top,
            "xpixelsize": frame.transform.a,
            "ypixelsize": -frame.transform.e,
            "cartesian_unit": "m",
            "yorigin": "upper",
            "institution": "Korea Meteorological Administration",
            "unit": "mm/h",
            "transform": None,
            "accutime": frame_length([frame.time]).total_seconds() / 60,
            "threshold": 0.1,
            "zerovalue": 0.0,
            "zr_a": float(zr[0]),
            "zr_b": float(zr[1]),
        },
    )


import_kma.postprocess_kws = {"dtype": "float32"}  # type: ignore[attr-defined] # read by pysteps
