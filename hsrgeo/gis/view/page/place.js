// Where a cell lies, from a mesh of control points that Python made with PROJ: no projection is computed here.

const MICRO = 1e-6; // degrees in a stored unit
const NEAR = 1e-3; // cells

/** Longitude and latitude of places in a grid. Columns and rows count from the north-west corner, in cells. */
export class Place {
  /** `grid` has width and height, and of the mesh: step in cells, and lon and lat row by row in millionths of degrees. */
  constructor(grid) {
    Object.assign(this, grid);
    this.nodes = Math.ceil(grid.width / grid.step) + 1; // the last one lies on the edge, wherever that is
    this.lines = Math.ceil(grid.height / grid.step) + 1;
  }

  /** Return [longitude, latitude] in degrees; beyond the grid they go on as at its edge. */
  lonlat(x, y) {
    const [col, right, width] = this.between(x, this.width, this.nodes);
    const [row, down, height] = this.between(y, this.height, this.lines);
    const at = row * this.nodes + col, below = at + this.nodes;
    const u = right / width, v = down / height;
    return [this.lon, this.lat].map((mesh) =>
      MICRO * ((1 - v) * ((1 - u) * mesh[at] + u * mesh[at + 1]) + v * ((1 - u) * mesh[below] + u * mesh[below + 1])));
  }

  /** Return [column, row] of a longitude and latitude, or null where they are far outside. */
  cell(lon, lat) {
    let x = this.width / 2, y = this.height / 2;
    for (let round = 0; round < 30; round++) {
      const [lon0, lat0] = this.lonlat(x, y), [lonX, latX] = this.lonlat(x + 1, y), [lonY, latY] = this.lonlat(x, y + 1);
      const a = lonX - lon0, b = lonY - lon0, c = latX - lat0, d = latY - lat0, area = a * d - b * c;
      if (!area) return null;
      const dx = (d * (lon - lon0) - b * (lat - lat0)) / area, dy = (a * (lat - lat0) - c * (lon - lon0)) / area;
      x += dx;
      y += dy;
      if (!(Math.abs(x) < 10 * this.width && Math.abs(y) < 10 * this.height)) return null;
      if (Math.hypot(dx, dy) < NEAR) return [x, y];
    }
    return null;
  }

  between(along, length, nodes) {
    const order = Math.min(Math.max(Math.floor(along / this.step), 0), Math.max(nodes - 2, 0));
    const start = order * this.step;
    return [order, along - start, Math.min(this.step, length - start)];
  }
}
