// Reads COGs as hsrgeo writes them: classic little-endian TIFF, tiled, int16 or int32, DEFLATE, ZSTD or uncompressed.
// Pure functions and one class over `read(start, end)`, which gives bytes from a server, a file or this page itself.
// References: TIFF 6.0, sections 2, 14 (predictor) and 15 (tiles).

import { decompress } from "./vendor/fzstd.js";

const TAG = {
  width: 256, height: 257, bits: 258, compression: 259, samples: 277, planar: 284, predictor: 317,
  tileWidth: 322, tileHeight: 323, offsets: 324, counts: 325, format: 339,
};
const SIZES = { 1: 1, 2: 1, 3: 2, 4: 4 }; // bytes of BYTE, ASCII, SHORT, LONG: others stand in no field that is read
const NONE = 1, DEFLATE = 8, OLD_DEFLATE = 32946, ZSTD = 50000;
const SIGNED = 2;
const FULL_VALUES = 1 << 25; // five times the largest grid: a size beyond is a damaged file
const MOST_LEVELS = 32;

/** A file that is not as hsrgeo writes it, or damaged. */
export class CogError extends Error {}

/** The bytes at hand end before the description of the file does; `need` is how many would be enough. */
export class MoreBytes extends Error {
  constructor(need) {
    super(`the first ${need} bytes are needed`);
    this.need = need;
  }
}

/**
 * Return the levels of a COG, the full resolution first, from its first bytes.
 *
 * Each has width, height, tileWidth, tileHeight, across and down (tiles), offsets and counts of the tiles of band 1,
 * and `end`, the byte after its last tile.
 */
export function parseHead(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const need = (end) => {
    if (end > bytes.byteLength) throw new MoreBytes(end);
  };
  need(8);
  const magic = view.getUint16(2, true);
  if (view.getUint16(0, true) !== 0x4949) throw new CogError("no little-endian TIFF");
  if (magic === 43) throw new CogError("a BigTIFF, which this page does not read");
  if (magic !== 42) throw new CogError("no TIFF");
  const levels = [];
  for (let offset = view.getUint32(4, true), before = 0; offset; ) {
    if (offset <= before || levels.length === MOST_LEVELS) throw new CogError("its directories run in a circle");
    need(offset + 2);
    const count = view.getUint16(offset, true);
    const after = offset + 2 + 12 * count;
    need(after + 4);
    const fields = new Map();
    for (let at = offset + 2; at < after; at += 12) {
      fields.set(view.getUint16(at, true), at);
    }
    levels.push(level(view, fields, need));
    before = offset;
    offset = view.getUint32(after, true);
  }
  if (!levels.length) throw new CogError("a TIFF without an image");
  return levels;
}

function level(view, fields, need) {
  const list = (tag, otherwise) => {
    const at = fields.get(tag);
    if (at === undefined) {
      if (otherwise === undefined) throw new CogError(`field ${tag} is missing: a tiled TIFF has it`);
      return otherwise;
    }
    const type = view.getUint16(at + 2, true), count = view.getUint32(at + 4, true), size = SIZES[type];
    if (!size || !count || count > FULL_VALUES) throw new CogError(`field ${tag} cannot be read`);
    const place = size * count <= 4 ? at + 8 : view.getUint32(at + 8, true);
    need(place + size * count);
    const get = size === 4 ? "getUint32" : size === 2 ? "getUint16" : "getUint8";
    return Array.from({ length: count }, (_, order) => view[get](place + order * size, true));
  };
  const one = (tag, otherwise) => list(tag, otherwise === undefined ? undefined : [otherwise])[0];
  const width = one(TAG.width), height = one(TAG.height);
  const tileWidth = one(TAG.tileWidth), tileHeight = one(TAG.tileHeight);
  const bits = one(TAG.bits, 1), samples = one(TAG.samples, 1), planar = one(TAG.planar, 1);
  const compression = one(TAG.compression, NONE), predictor = one(TAG.predictor, 1);
  if (one(TAG.format, 1) !== SIGNED || (bits !== 16 && bits !== 32)) {
    throw new CogError(`values of ${bits} bits that are not int16 or int32`);
  }
  if (![NONE, DEFLATE, OLD_DEFLATE, ZSTD].includes(compression)) {
    throw new CogError(`compression ${compression}: expected DEFLATE, ZSTD or none`);
  }
  if (predictor !== 1 && predictor !== 2) throw new CogError(`predictor ${predictor}: expected 1 or 2`);
  if (!width || !height || !tileWidth || !tileHeight || width * height > FULL_VALUES || tileWidth * tileHeight > FULL_VALUES) {
    throw new CogError(`a size of ${width} x ${height} in tiles of ${tileWidth} x ${tileHeight}`);
  }
  const across = Math.ceil(width / tileWidth), down = Math.ceil(height / tileHeight), tiles = across * down;
  const offsets = list(TAG.offsets).slice(0, tiles), counts = list(TAG.counts).slice(0, tiles); // band 1 comes first
  if (offsets.length < tiles || counts.length < tiles) throw new CogError(`fewer than ${tiles} tiles`);
  const end = offsets.reduce((most, offset, order) => Math.max(most, offset + counts[order]), 0);
  const stride = planar === 1 ? samples : 1;
  return { width, height, tileWidth, tileHeight, across, down, offsets, counts, end, bits, stride, compression, predictor };
}

/** Return the values of band 1 of a tile, row by row, from its bytes as they are stored. */
export async function decodeTile(bytes, level) {
  const { tileWidth, tileHeight, bits, stride, compression, predictor } = level;
  const size = (tileWidth * tileHeight * stride * bits) / 8;
  let plain;
  if (compression === NONE) {
    plain = bytes.slice();
  } else if (compression === ZSTD) {
    try {
      plain = decompress(bytes, new Uint8Array(size));
    } catch (error) {
      throw new CogError(`a damaged ZSTD tile: ${error.message}`);
    }
  } else {
    plain = await inflate(bytes, size);
  }
  if (plain.length !== size) throw new CogError(`a tile of ${plain.length} bytes: expected ${size}`);
  const Values = bits === 16 ? Int16Array : Int32Array;
  const values = new Values(plain.buffer, plain.byteOffset, size / Values.BYTES_PER_ELEMENT);
  if (predictor === 2) {
    const row = tileWidth * stride;
    for (let start = 0; start < values.length; start += row) {
      for (let at = start + stride; at < start + row; at++) values[at] += values[at - stride]; // wraps, as it must
    }
  }
  if (stride === 1) return values;
  const first = new Values(tileWidth * tileHeight);
  for (let order = 0; order < first.length; order++) first[order] = values[order * stride];
  return first;
}

async function inflate(bytes, size) {
  const stream = new DecompressionStream("deflate");
  const writer = stream.writable.getWriter();
  writer.write(bytes).catch(() => {}); // the reader below hears of it too
  writer.close().catch(() => {});
  const plain = new Uint8Array(size);
  const reader = stream.readable.getReader();
  let filled = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (filled + value.length > size) throw new CogError(`a tile of more than ${size} bytes`);
      plain.set(value, filled);
      filled += value.length;
    }
  } catch (error) {
    reader.cancel().catch(() => {});
    throw error instanceof CogError ? error : new CogError(`a damaged tile: ${error.message}`);
  }
  return filled === size ? plain : plain.subarray(0, filled);
}

const FIRST_BYTES = 1 << 15;
const APART = 1 << 14; // bytes between two tiles that are read in one go all the same
const SMALL = 512; // compressed bytes: a tile of one value is stored in fewer, and a day has thousands of the same
const MOST_ALIKE = 64;
const alike = new Map(); // text of such bytes and size of the tile -> its values

/** A COG that is read bit by bit. `source.read(start, end)` gives a promise of bytes, fewer at the end of the file. */
export class Cog {
  constructor(source) {
    this.source = source;
    this.head = new Uint8Array(0);
    this.levels = null;
  }

  /** Read its first bytes: the description, and the small levels that are near. */
  async open(firstBytes = FIRST_BYTES) {
    for (let want = firstBytes; ; ) {
      await this.readTo(want);
      try {
        this.levels = parseHead(this.head);
        return this;
      } catch (error) {
        if (!(error instanceof MoreBytes)) throw error;
        if (this.head.length < want) throw new CogError("the file ends within its description");
        want = Math.max(error.need, 2 * want);
      }
    }
  }

  /** Have all bytes before `end` at hand. */
  async readTo(end) {
    const have = this.head.length;
    if (end <= have) return;
    const more = await this.source.read(have, end);
    const whole = new Uint8Array(have + more.length);
    whole.set(this.head);
    whole.set(more, have);
    this.head = whole;
  }

  /** Return values of whole tiles of a level: columns and rows of tiles, the last ones excluded. */
  async tiles(number, [colFrom, rowFrom, colTo, rowTo]) {
    const level = this.levels[number];
    const x = colFrom * level.tileWidth, y = rowFrom * level.tileHeight;
    const width = Math.min(colTo * level.tileWidth, level.width) - x;
    const height = Math.min(rowTo * level.tileHeight, level.height) - y;
    const data = new (level.bits === 16 ? Int16Array : Int32Array)(width * height);
    const wanted = [];
    for (let row = rowFrom; row < rowTo; row++) {
      for (let col = colFrom; col < colTo; col++) wanted.push({ col, row, order: row * level.across + col });
    }
    const bytes = await this.tileBytes(level, wanted.map((tile) => tile.order));
    await Promise.all(wanted.map(async ({ col, row, order }) => {
      const tile = await decoded(bytes.get(order), level);
      const left = col * level.tileWidth - x, top = row * level.tileHeight - y;
      const across = Math.min(level.tileWidth, width - left), lines = Math.min(level.tileHeight, height - top);
      for (let line = 0; line < lines; line++) {
        const from = line * level.tileWidth;
        data.set(tile.subarray(from, from + across), (top + line) * width + left);
      }
    }));
    return { x, y, width, height, data };
  }

  /** Return the stored value of a cell, at full resolution. */
  async value(col, row) {
    const [level] = this.levels;
    const tileCol = Math.floor(col / level.tileWidth), tileRow = Math.floor(row / level.tileHeight);
    const order = tileRow * level.across + tileCol;
    const tile = await decoded((await this.tileBytes(level, [order])).get(order), level);
    return tile[(row - tileRow * level.tileHeight) * level.tileWidth + (col - tileCol * level.tileWidth)];
  }

  async tileBytes(level, orders) {
    const spans = orders.map((order) => ({ order, start: level.offsets[order], end: level.offsets[order] + level.counts[order] }));
    spans.sort((one, other) => one.start - other.start);
    const found = new Map();
    for (let at = 0; at < spans.length; ) {
      let until = at + 1, end = spans[at].end;
      while (until < spans.length && spans[until].start <= end + APART) end = Math.max(end, spans[until++].end);
      const start = spans[at].start;
      const bytes = end <= this.head.length ? this.head.subarray(start, end) : await this.source.read(start, end);
      if (bytes.length < end - start) throw new CogError("the file ends before its tiles do");
      for (; at < until; at++) found.set(spans[at].order, bytes.subarray(spans[at].start - start, spans[at].end - start));
    }
    return found;
  }
}

async function decoded(bytes, level) {
  if (!bytes.length) throw new CogError("a tile without bytes");
  if (bytes.length > SMALL) return decodeTile(bytes, level);
  const key = `${level.tileWidth} ${level.tileHeight} ${level.bits} ${level.stride} ${String.fromCharCode(...bytes)}`;
  let values = alike.get(key);
  if (!values) {
    values = await decodeTile(bytes, level);
    if (alike.size >= MOST_ALIKE) alike.delete(alike.keys().next().value);
    alike.set(key, values);
  }
  return values;
}
