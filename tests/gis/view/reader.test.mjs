// Run by tests/gis/test_view_reader.py with `node --test`: cases.json has files and what rasterio reads in them.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { listOf, periodsOf } from "../../../hsrgeo/gis/view/page/frames.js";
import { Place } from "../../../hsrgeo/gis/view/page/place.js";
import { Cog, CogError, MoreBytes, parseHead } from "../../../hsrgeo/gis/view/page/reader.js";
import { both, kindOf, painter } from "../../../hsrgeo/gis/view/page/values.js";

const { files, refused, places, quantities } = JSON.parse(readFileSync(process.env.HSRGEO_CASES));

const sourceOf = (bytes, reads = []) => ({
  async read(start, end) {
    reads.push([start, end]);
    return bytes.subarray(start, Math.min(end, bytes.length));
  },
});
const hash = (values) => createHash("sha256").update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength)).digest("hex");

for (const one of files) {
  test(`every level of ${one.name} equals rasterio's`, async () => {
    const cog = await new Cog(sourceOf(readFileSync(one.path))).open(64);
    assert.equal(cog.levels.length, one.levels.length);
    for (const [number, level] of cog.levels.entries()) {
      const { width, height, data } = await cog.tiles(number, [0, 0, level.across, level.down]);
      assert.deepEqual([width, height, hash(data)], one.levels[number]);
    }
    for (const [col, row, value] of one.cells) assert.equal(await cog.value(col, row), value);
  });
}

test("one tile costs one request, and what is at hand none", async () => {
  const bytes = readFileSync(files[0].path), reads = [];
  const cog = await new Cog(sourceOf(bytes, reads)).open(64);
  const [level] = cog.levels;
  reads.length = 0;
  await cog.tiles(0, [1, 1, 2, 2]);
  const order = level.across + 1;
  assert.deepEqual(reads, [[level.offsets[order], level.offsets[order] + level.counts[order]]]);
  await cog.readTo(bytes.length);
  reads.length = 0;
  await cog.tiles(0, [0, 0, level.across, level.down]);
  assert.deepEqual(reads, []);
});

for (const one of refused) {
  test(`${one.name} is refused: ${one.says}`, async () => {
    const read = async () => {
      const cog = await new Cog(sourceOf(readFileSync(one.path))).open();
      await cog.tiles(0, [0, 0, cog.levels[0].across, cog.levels[0].down]);
    };
    await assert.rejects(read, (error) => error instanceof CogError && error.message.includes(one.says));
  });
}

test("a head that is cut anywhere asks for more, or is read", () => {
  const bytes = readFileSync(files[0].path);
  let whole = null;
  for (let length = 0; length < 8192; length += 7) {
    try {
      whole = parseHead(bytes.subarray(0, length));
    } catch (error) {
      assert.ok(error instanceof MoreBytes && error.need > length);
      assert.equal(whole, null);
    }
  }
  assert.equal(whole.length, files[0].levels.length);
});

test("places are within 10 m of pyproj, and back within a hundredth of a cell", () => {
  for (const { grid, points } of places) {
    const place = new Place(grid);
    for (const [x, y, lon, lat] of points) {
      const [ourLon, ourLat] = place.lonlat(x, y);
      const metres = Math.hypot((ourLon - lon) * 111320 * Math.cos((lat * Math.PI) / 180), (ourLat - lat) * 111320);
      assert.ok(metres < 10, `${metres} m at ${x}, ${y} of ${grid.width} x ${grid.height}`);
      const [col, row] = place.cell(ourLon, ourLat);
      assert.ok(Math.hypot(col - x, row - y) < 0.01);
    }
    assert.equal(place.cell(-170, -89), null);
  }
});

test("kinds, numbers and colours of stored values equal Python's", () => {
  for (const { quantity, classes, values } of quantities) {
    const paint = painter(quantity, classes, { unseen: [1, 2, 3, 255], dry: [4, 5, 6, 0] });
    for (const [stored, kind, dbz, mm, rgba] of values) {
      assert.equal(kindOf(stored, quantity), kind);
      const found = both(stored, quantity);
      for (const [ours, theirs] of [[found.dbz, dbz], [found.rate, mm]]) {
        assert.ok(ours === theirs || Math.abs(ours - theirs) <= 1e-9 * Math.abs(theirs), `${stored}: ${ours}, ${theirs}`);
      }
      const pixels = new Uint32Array(1);
      paint([stored], pixels);
      assert.deepEqual([...new Uint8Array(pixels.buffer)], rgba);
    }
  }
});

test("a folder that is watched has one period more: the last day, over midnight", async () => {
  const hour = 3600, noon = 12 * hour, every = (from, to) => Array.from({ length: (to - from) / hour }, (_, order) => [from + order * hour, `${from + order * hour}.tif`, 1]);
  const lists = { a: every(noon, 24 * hour), b: every(24 * hour, 48 * hour), c: every(48 * hour, 51 * hour) };
  const bytes = { json: async (path) => ({ frames: lists[path] }) }, view = { windows: Object.keys(lists).map((path) => ({ span: path, path })) };
  assert.deepEqual(periodsOf(view, false).map(({ name }) => name), ["a", "b", "c"]);
  const periods = periodsOf(view, true);
  assert.deepEqual(periods.map(({ name }) => name), ["a", "b", "c", ""]);
  assert.deepEqual(await listOf(bytes, periods[0]), lists.a);
  const last = await listOf(bytes, periods[3]); // of 27 hours in two days, those later than 24 before the newest, which is of 50
  assert.deepEqual([last.length, last[0][0], last.at(-1)[0]], [24, 27 * hour, 50 * hour]);
});
