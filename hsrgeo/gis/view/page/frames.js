// The frames of a period: their first bytes are fetched ahead, and their values are decoded as they are shown.

import { Cog } from "./reader.js";
import { Replaced } from "./source.js";

export const MOST_CELLS = 600_000; // of a level that plays smoothly
const FETCHES = 6, DECODED = 24, MOST_TILES = 40;

/** Frames of one period. `listed` are [seconds, path or null]. */
export class Frames {
  constructor(bytes, listed) {
    this.bytes = bytes;
    this.times = listed.map(([time]) => time);
    this.paths = listed.map(([, path]) => path);
    this.cogs = new Map(); // path -> promise of a Cog with the level that plays
    this.decoded = new Map(); // what is decoded, the latest last
    this.guess = undefined;
    this.ready = new Set();
  }

  cog(order) {
    const path = this.paths[order];
    if (!this.cogs.has(path)) {
      const cog = this.fetched(path);
      cog.then(() => this.ready.add(order), () => this.cogs.delete(path));
      this.cogs.set(path, cog);
    }
    return this.cogs.get(path);
  }

  async fetched(path) {
    const source = this.bytes.cog(path);
    const cog = await new Cog(source).open(this.guess);
    if (!this.bytes.whole) {
      const [finest] = cog.levels;
      cog.levels = cog.levels.filter((level) => level.end <= source.size);
      if (!cog.levels.length) throw new Error(`${path} is not in this file`);
      this.coarse ||= cog.levels[0] !== finest;
    }
    const end = cog.levels[playing(cog)].end;
    await cog.readTo(end);
    this.guess = Math.max(this.guess ?? 0, Math.ceil(end * 1.1)); // the next frame needs about as many
    return cog;
  }

  /** Run something with a frame; once more where its file was replaced meanwhile. */
  async with(order, use) {
    try {
      return await use(await this.cog(order));
    } catch (error) {
      if (!(error instanceof Replaced)) throw error;
      this.forget(this.paths[order]);
      return use(await this.cog(order));
    }
  }

  forget(path) {
    this.cogs.delete(path);
    for (const key of [...this.decoded.keys()]) if (key.startsWith(`${path} `)) this.decoded.delete(key);
  }

  /** Return values of the level that plays, whole; or of the part of a finer one, `{ scale, box }` in cells. */
  picture(order, fine = null) {
    return this.with(order, async (cog) => {
      let number = playing(cog), part = null;
      if (fine) {
        const best = cog.levels.findLastIndex((level) => cog.levels[0].width / level.width * fine.scale <= 1.5);
        const wanted = Math.min(Math.max(best, 0), number);
        const level = cog.levels[wanted];
        const tiles = tilesOver(level, cog.levels[0], fine.box);
        if (wanted < number && (tiles[2] - tiles[0]) * (tiles[3] - tiles[1]) <= MOST_TILES) [number, part] = [wanted, tiles];
      }
      const level = cog.levels[number];
      part ??= [0, 0, level.across, level.down];
      const key = `${this.paths[order]} ${number} ${part}`;
      let picture = this.decoded.get(key);
      if (!picture) {
        const values = await cog.tiles(number, part);
        picture = { ...values, number, across: cog.levels[0].width / level.width, down: cog.levels[0].height / level.height };
      }
      this.decoded.delete(key);
      this.decoded.set(key, picture);
      if (this.decoded.size > DECODED) this.decoded.delete(this.decoded.keys().next().value);
      return picture;
    });
  }

  /** Return the stored value of a cell in the best detail there is, null for a gap. */
  async value(order, col, row, width) {
    if (this.paths[order] === null) return null;
    return this.with(order, (cog) => {
      const times = width / cog.levels[0].width; // more than 1 in a file that holds overviews only
      return cog.value(Math.min(Math.floor(col / times), cog.levels[0].width - 1), Math.min(Math.floor(row / times), cog.levels[0].height - 1));
    });
  }

  /** Fetch all frames, some at a time, from one on. `stopped()` tells whether to go on; `step()` hears of each. */
  async fetchAll(from, stopped, step) {
    const orders = this.paths.map((_, order) => (from - order + this.paths.length) % this.paths.length).filter((order) => this.paths[order] !== null);
    let next = 0;
    const work = async () => {
      while (next < orders.length && !stopped()) {
        await this.cog(orders[next++]).catch(() => {});
        step();
      }
    };
    await Promise.all(Array.from({ length: FETCHES }, work));
  }
}

function playing(cog) {
  const fits = cog.levels.findIndex((level) => level.width * level.height <= MOST_CELLS);
  return fits < 0 ? cog.levels.length - 1 : fits;
}

function tilesOver(level, whole, [left, top, right, bottom]) {
  const x = level.width / whole.width / level.tileWidth, y = level.height / whole.height / level.tileHeight;
  const clamp = (number, most) => Math.min(Math.max(number, 0), most);
  return [clamp(Math.floor(left * x), level.across - 1), clamp(Math.floor(top * y), level.down - 1),
    clamp(Math.ceil(right * x), level.across), clamp(Math.ceil(bottom * y), level.down)];
}
