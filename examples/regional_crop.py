"""A regional crop by coordinates, from Python: rain around Seoul in each frame, and the crop as a COG.

Usage: python examples/regional_crop.py [SOURCE] [OUT]
"""

import sys
from pathlib import Path

import numpy as np

import hsrgeo

SEOUL = (126.7, 37.4, 127.2, 37.7)  # west, south, east, north


def main(source: Path, out: Path) -> None:
    """Print the highest reflectivity of each frame's crop, and write the crop."""
    for frame in hsrgeo.iter_frames(source):
        crop = frame.crop(bbox=SEOUL).clean()
        dbz = crop.physical()  # NaN: not observed; -inf: observed, no echo
        highest = np.nanmax(dbz, initial=-np.inf)
        wet = np.isfinite(dbz).mean()
        print(f"{frame.time:%Y-%m-%d %H:%M} KST  highest {highest:5.1f} dBZ, echo in {wet:.0%} of the cells")
        crop.to_cog(out / f"{frame.time:%Y%m%d%H%M}.tif")


if __name__ == "__main__":
    here = Path(__file__).parent
    arguments = [Path(argument) for argument in sys.argv[1:]]
    main(*arguments, *(here / "frames", Path("seoul"))[len(arguments) :])
