// The frames of a period: their first bytes are fetched ahead, and their values are decoded as they are shown.

import { Cog } from "./reader.js";
import { Replaced } from "./source.js";

export const MOST_CELLS = 600_000; // of a level that plays smoothly
const DAY_S = 86_400;
const FETCHES = 6, DECODED = 24, MOST_TILES = 40;

/** Return the periods of a view that are loaded at once; of a folder that is watched the last is one day, over midnight. */
export function periodsOf({ windows }, watched) {
  const each = windows.map((window) => ({ name: window.span, parts: [window] }));
  return watched && each.length > 1 ? [...each, { name: "", parts: windows.slice(-2) }] : each;
}

/** Return the list of frames of a period, for `Frames`. */
export async function listOf(bytes, { parts }) {
  const listed = (await Promise.all(parts.map((part) => bytes.json(part.path)))).flatMap((part) => part.frames);
  return parts.length > 1 ? listed.filter(([time]) => time > listed.at(-1)[0] - DAY_S) : listed;
}

/** Frames of one period. `listed` are [seconds, path or null, CRC-32 of its first bytes]. */
export class Frames {
  constructor(bytes, listed) {
    this.bytes = bytes;
    this.crcs = new Map(); // path -> CRC-32
    this.cogs = new Map(); // path -> promise of a Cog with the level that plays
    this.decoded = new Map(); // what is decoded, the latest last
    this.guess = undefined;
    this.ready = new Set(); // paths
    this.list(listed);
  }

  /** Take a newer list: what left or was replaced is forgotten, all else stays at hand. */
  list(listed) {
    const crcs = new Map(listed.map(([, path, crc]) => [path, crc]));
    for (const [path, crc] of this.crcs) if (crcs.get(path) !== crc) this.forget(path);
    this.crcs = crcs;
    this.times = listed.map(([time]) => time);
    this.paths = listed.map(([, path]) => path);
    this.counts = listed.map(([, , , used, expected]) => (expected ? [used, expected] : null)); // of a sum that lacks frames
  }

  cog(path) {
    if (!this.cogs.has(path)) {
      const cog = this.fetched(path), mine = () => this.cogs.get(path) === cog;
      this.cogs.set(path, cog);
      cog.then(() => mine() && this.ready.add(path), () => mine() && this.cogs.delete(path));
    }
    return this.cogs.get(path);
  }

  /** Return the place of the newest frame that is there. */
  get newest() {
    return this.paths.findLastIndex((path) => path !== null);
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
    const path = this.paths[order];
    try {
      return await use(await this.cog(path), path);
    } catch (error) {
      if (!(error instanceof Replaced)) throw error;
      this.forget(path);
      return use(await this.cog(path), path);
    }
  }

  forget(path) {
    this.cogs.delete(path);
    this.ready.delete(path);
    for (const key of [...this.decoded.keys()]) if (key.startsWith(`${path} `)) this.decoded.delete(key);
  }

  /** Return values of the level that plays, whole; or of the part of a finer one, `{ scale, box }` in cells. */
  picture(order, fine = null) {
    return this.with(order, async (cog, path) => {
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
      const key = `${path} ${number} ${part}`;
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
    const count = this.paths.length, wanted = this.paths.map((_, order) => this.paths[(from - order + count) % count]).filter((path) => path !== null);
    let next = 0;
    const work = async () => {
      while (next < wanted.length && !stopped()) {
        const path = wanted[next++];
        if (this.crcs.has(path)) await this.cog(path).catch(() => {});
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
