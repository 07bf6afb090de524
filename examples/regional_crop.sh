#!/usr/bin/env bash
# A regional crop by coordinates, from the shell: the capital area of every frame, as COG and 16-bit PNG.
# Usage: examples/regional_crop.sh [SOURCE] [OUT]
set -euo pipefail
source=${1:-"$(dirname "$0")/frames"}
out=${2:-seoul}

hsrgeo info "$source"
hsrgeo export "$source" --bbox 126.7 37.4 127.2 37.7 --out "$out"
hsrgeo verify "$out" --against "$source"
