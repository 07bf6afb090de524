// The page: what is chosen, what is shown, and what a reader does with pointer and keys.

import { Frames, listOf, periodsOf } from "./frames.js";
import { listen } from "./gestures.js";
import { legend, textOf } from "./legend.js";
import { badge, follow } from "./live.js";
import { Chart } from "./map.js";
import { Place } from "./place.js";
import { chart, csv } from "./series.js";
import { bytesOf } from "./source.js";
import { citiesIn, timeText, wordsOf } from "./words.js";

const SCHEMA = 1, INDEX = "view/view.json", LOOP_STOP_MS = 1000, REST_MS = 120;
const $ = (id) => document.getElementById(id);
const bytes = bytesOf();
const map = new Chart($("map"), $("echo"), $("lines"));
const state = { view: 0, span: 0, at: 0, playing: false, lang: "en" };
let index, frames, place, words, shown = [], generation = 0, series = null, pending = false, loaded = "";

const view = () => index.views[state.view];
const hash = () => new URLSearchParams(location.hash.slice(1));

async function start() {
  index = await bytes.json(INDEX);
  const asked = hash();
  speak(asked.get("lang") ?? new URLSearchParams(location.search).get("lang") ?? index.lang ?? (navigator.language.startsWith("ko") ? "ko" : "en"));
  if (index.schema !== SCHEMA) throw new Error(words.schema);
  $("opacity").value = Math.min(Math.max(Number(asked.get("o") ?? 1) * 100, 20), 100) || 100;
  map.opacity = $("opacity").value / 100;
  const chosen = index.views.findIndex((one) => nameOf(one) === asked.get("v"));
  await choose(Math.max(chosen, 0), asked.get("t"), asked);
  const point = asked.get("p")?.split(",").map(Number);
  if (point?.length === 2 && point.every(Number.isFinite)) await click(place.cell(...point));
  if (asked.get("play") === "1") play(true);
  if (index.poll_s && bytes.whole) follow(() => bytes.json(INDEX), index, index.poll_s, renew);
  globalThis.hsrgeo = { state, map, frames: () => frames, place: () => place, click, csv: table }; // for scripts and tests
}

const nameOf = (one) => [one.region, one.product, one.quantity.name].filter(Boolean).join("/");
const periods = () => periodsOf(view(), index.watched);
const label = (one) => [one.region, one.product, words.quantity[one.quantity.name] ?? one.quantity.name].filter(Boolean).join(" · ");

function speak(lang) {
  state.lang = lang === "ko" ? "ko" : "en";
  words = wordsOf(state.lang);
  document.documentElement.lang = state.lang;
  $("lang").textContent = words.other;
  for (const id of ["back", "on", "in", "out", "fit", "view", "span", "map"]) $(id).setAttribute("aria-label", words[id]);
  $("slide").setAttribute("aria-label", words.time);
  $("speedword").textContent = words.speed;
  $("opacityword").textContent = words.opacity;
  $("live").title = words.newest;
}

/** Show a view: one region and quantity, at a time or at its newest. */
async function choose(number, time, asked) {
  state.view = number;
  const one = view(), seconds = time && time !== "latest" ? Date.parse(`${time}:00+09:00`) / 1000 : NaN;
  const text = Number.isFinite(seconds) ? timeText(seconds) : "";
  const found = text ? one.windows.findIndex((window) => text.startsWith(window.span)) : -1, span = found < 0 ? periods().length - 1 : found;
  const loading = listOf(bytes, periods()[span]), grid = await bytes.json(one.grid);
  if (state.view !== number) return;
  place = new Place(grid);
  map.show(one, grid, place);
  map.fit();
  const centre = asked?.get("c")?.split(",").map(Number), metres = Number(asked?.get("z"));
  const cell = centre?.length === 2 && place.cell(...centre);
  if (cell && metres > 0) {
    [map.x, map.y] = cell;
    map.scale = Math.min(Math.max(grid.cell_m / metres, 0.02), 64);
  }
  state.span = span;
  writeWords();
  await load(span, seconds, loading);
}

async function load(span, seconds, loading = listOf(bytes, periods()[span])) {
  const mine = ++generation;
  play(false);
  closeSeries();
  state.span = span;
  $("span").value = span;
  loaded = crcsOf(periods()[span]);
  const listed = await loading;
  if (mine !== generation) return;
  frames = new Frames(bytes, listed);
  const exact = frames.times.indexOf(seconds);
  state.at = exact >= 0 ? exact : frames.newest;
  $("slide").max = listed.length - 1;
  await show(state.at);
  frames.fetchAll(state.at, () => mine !== generation, bar);
}

/** Take a newer index; the newest frame is shown where the newest was. Return whether it was taken. */
async function renew(next) {
  if (next.schema !== SCHEMA) throw new Error($("note").textContent = words.schema);
  const mine = generation, before = view(), { name } = periods()[state.span], newest = !state.playing && atNewest(), time = frames.times[state.at];
  const number = next.views.findIndex((one) => nameOf(one) === nameOf(before));
  index = next;
  state.view = Math.max(number, 0);
  const one = view(), span = periods().findIndex((each) => each.name === name), last = periods().length - 1;
  if (number < 0 || one.grid !== before.grid) return choose(state.view, newest ? null : timeText(time).replace(" ", "T")).then(() => true);
  map.show(one, map.grid, place);
  state.span = Math.max(span, 0);
  writeWords();
  if (span < 0) return load(last).then(() => true);
  const period = periods()[span], same = crcsOf(period) === loaded, listed = same ? null : await listOf(bytes, period);
  if (mine !== generation) return false;
  const keys = () => frames.paths.map((path) => `${path} ${frames.crcs.get(path)}`), known = new Map(keys().map((key, order) => [key, series?.values[order]]));
  if (listed) frames.list(listed);
  if (newest && frames.times[frames.newest] !== one.newest_s) return load(last).then(() => true); // a day has begun
  if (same) return true;
  loaded = crcsOf(period);
  if (series) series.values = keys().map((key) => known.get(key));
  $("slide").max = listed.length - 1;
  const kept = frames.times.findIndex((at) => at >= time);
  state.at = newest || kept < 0 ? frames.newest : kept;
  if (!state.playing) await show(state.at);
  frames.fetchAll(state.at, () => mine !== generation, bar);
  bar();
  if (series) readSeries(series);
  return true;
}

const crcsOf = ({ parts }) => parts.map((part) => part.crc32).join();
const atNewest = () => frames.times[state.at] === view().newest_s;

function writeWords() {
  const one = view();
  $("view").replaceChildren(...index.views.map((each, order) => new Option(label(each), order)));
  $("view").value = state.view;
  $("view").hidden = index.views.length === 1;
  $("span").replaceChildren(...periods().map(({ name }, order) => new Option(name || words.lastday, order)));
  $("span").value = state.span;
  $("span").hidden = periods().length === 1;
  $("live").hidden = !index.watched || !bytes.whole;
  writeAge();
  $("what").textContent = label(one);
  document.title = `${label(one)} · hsrgeo`;
  $("legend").replaceChildren(...legend(one, words));
  const made = document.createElement("b");
  made.textContent = one.synthetic ? `${words.made} · ` : "";
  $("credit").replaceChildren(made, [index.attribution, index.credit].filter(Boolean).join(". "));
}

const writeAge = badge($("live"), () => view().newest_s, () => words);

/** Show a frame; the map keeps the one before until this one is there. */
async function show(order) {
  const mine = generation;
  let picture = null, problem = "";
  if (frames.paths[order] === null) problem = words.gap;
  else {
    try {
      picture = await frames.picture(order);
    } catch (error) {
      problem = `${words.unread}: ${error.message}`;
    }
  }
  if (mine !== generation) return;
  state.at = order;
  shown = picture ? [picture] : [];
  const time = frames.times[order], length = view().length_s;
  $("time").textContent = `${timeText(time, words.days)} KST`;
  $("utc").textContent = `${length ? `→ ${timeText(time + length)} KST · ` : ""}${timeText(time, null, 0)} UTC`;
  $("slide").value = order;
  $("slide").setAttribute("aria-valuetext", $("time").textContent);
  const lacks = frames.counts[order];
  $("note").textContent = problem || (lacks ? words.lacks(...lacks) : frames.coarse ? words.few : "");
  map.draw(shown);
  if (!pending) lines();
  probe();
  if (series) drawSeries();
  if (!state.playing) rest();
}

const lines = () => map.drawLines(citiesIn(state.lang));

function bar() {
  const canvas = $("bar"), count = frames.times.length, context = canvas.getContext("2d");
  canvas.width = count;
  canvas.height = 1;
  frames.paths.forEach((path, order) => {
    context.fillStyle = path === null ? "#e8590c" : frames.ready.has(path) ? "#8fb4ee" : "#dfe4ea";
    context.fillRect(order, 0, 1, 1);
  });
}

let resting;
/** When nothing moves: finer cells where they are seen, and the link. */
function rest() {
  clearTimeout(resting);
  resting = setTimeout(async () => {
    const mine = generation, order = state.at;
    remember();
    if (frames.paths[order] === null || !shown.length) return;
    const fine = await frames.picture(order, { scale: map.scale * (devicePixelRatio || 1), box: map.seen() }).catch(() => null);
    if (!fine || state.playing || mine !== generation || order !== state.at) return;
    shown = fine.number === shown[0].number ? [shown[0]] : [shown[0], fine];
    map.draw(shown);
  }, REST_MS);
}

function remember() {
  const now = new URLSearchParams(), [lon, lat] = place.lonlat(map.x, map.y);
  if (index.views.length > 1) now.set("v", nameOf(view()));
  now.set("t", index.poll_s && atNewest() ? "latest" : timeText(frames.times[state.at]).replace(" ", "T"));
  now.set("c", `${lon.toFixed(4)},${lat.toFixed(4)}`);
  now.set("z", (map.grid.cell_m / map.scale).toFixed(1));
  if (map.opacity < 1) now.set("o", map.opacity);
  if (series) now.set("p", `${series.lon.toFixed(5)},${series.lat.toFixed(5)}`);
  now.set("lang", state.lang);
  history.replaceState(null, "", `#${now.toString().replaceAll("%2C", ",").replaceAll("%3A", ":")}`);
}

function moved() {
  if (pending) return;
  pending = true;
  requestAnimationFrame(() => {
    pending = false;
    map.draw(shown.slice(0, 2));
    lines();
    rest();
  });
}

function step(by) {
  play(false);
  return show((state.at + by + frames.times.length) % frames.times.length);
}

let playingSince = 0;
async function play(on) {
  state.playing = on;
  const mine = ++playingSince;
  $("play").textContent = on ? "❚❚" : "▶";
  $("play").setAttribute("aria-label", on ? words.pause : words.play);
  if (!on) {
    if (frames) rest();
    return;
  }
  while (state.playing && mine === playingSince) {
    const begun = performance.now(), last = state.at === frames.times.length - 1;
    if (last) await new Promise((done) => setTimeout(done, LOOP_STOP_MS));
    if (!state.playing || mine !== playingSince) return;
    await show(last ? 0 : state.at + 1);
    const left = 1000 / Number($("speed").value) - (performance.now() - begun);
    await new Promise((done) => setTimeout(done, Math.max(left, 0)));
  }
}

/* The value under the pointer. */
let pointer = null, probing = 0;
async function probe() {
  const box = $("probe"), cell = pointer && map.toCell(...pointer), { width, height } = map.grid;
  const inside = cell && cell[0] >= 0 && cell[1] >= 0 && cell[0] < width && cell[1] < height;
  box.hidden = !inside;
  if (!inside) return;
  const [lon, lat] = place.lonlat(...cell), mine = ++probing, order = state.at;
  const write = (value, rough) => {
    const big = document.createElement("b");
    big.textContent = value;
    box.className = rough ? "rough" : "";
    box.replaceChildren(big, `${lat.toFixed(4)}°N ${lon.toFixed(4)}°E\n${timeText(frames.times[order])} KST`);
    box.style.left = `${Math.min(pointer[0] + 16, innerWidth - box.offsetWidth - 8)}px`;
    box.style.top = `${Math.max(pointer[1] - box.offsetHeight - 12, 8)}px`;
  };
  const picture = shown[0];
  if (picture) {
    const col = Math.min(Math.floor(cell[0] / picture.across), picture.width - 1), line = Math.min(Math.floor(cell[1] / picture.down), picture.height - 1);
    write(textOf(picture.data[line * picture.width + col], view().quantity, words), true);
  } else write(words.gap, false);
  await new Promise((done) => setTimeout(done, state.playing ? 0 : REST_MS));
  if (mine !== probing || (state.playing && picture && picture.across > 1)) return;
  const value = await frames.value(order, Math.floor(cell[0]), Math.floor(cell[1]), width).catch(() => undefined);
  if (mine === probing && order === state.at && value !== undefined && pointer) write(textOf(value, view().quantity, words), false);
}

/* The series of a place. */
async function click(cell) {
  if (!cell || cell[0] < 0 || cell[1] < 0 || cell[0] >= map.grid.width || cell[1] >= map.grid.height) return;
  const [lon, lat] = place.lonlat(...cell), [col, line] = cell.map(Math.floor);
  series = { lon, lat, col, line, values: frames.times.map(() => undefined), done: false };
  map.marked = [col + 0.5, line + 0.5];
  lines();
  await readSeries(series);
}

/** Read what is not known yet of a series. */
async function readSeries(mine) {
  const { values } = mine; // another list where frames came
  mine.done = false;
  drawSeries();
  let next = 0;
  const work = async () => {
    while (next < values.length && series === mine && values === mine.values) {
      const order = next++;
      values[order] ??= await frames.value(order, mine.col, mine.line, map.grid.width).catch(() => null);
    }
  };
  await Promise.all(Array.from({ length: 6 }, work));
  if (series !== mine || values !== mine.values) return;
  mine.done = true;
  drawSeries();
  rest();
}

function drawSeries() {
  const box = $("series"), head = document.createElement("header"), title = document.createElement("b");
  const { quantity } = view();
  const button = (text, name, act) => Object.assign(document.createElement("button"), { textContent: text, ariaLabel: name, onclick: act });
  title.textContent = `${series.lat.toFixed(4)}°N ${series.lon.toFixed(4)}°E · ${quantity.unit === "dBZ" ? "mm/h" : quantity.unit}${series.done ? "" : ` · ${words.reading}…`}`;
  head.append(title, button("CSV", "CSV", download), button("×", words.close, closeSeries));
  box.replaceChildren(head, chart(frames.times, seen(), quantity, state.at));
  box.hidden = false;
}

const seen = () => series.values.map((stored) => stored ?? null);
const table = () => csv(frames.times, seen(), view().quantity, series.lon, series.lat);

function download() {
  const text = table();
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(new Blob([text], { type: "text/csv" })), download: "hsrgeo-series.csv" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function closeSeries() {
  series = map.marked = null;
  $("series").hidden = true;
  if (map.paths && frames) {
    lines();
    rest();
  }
}

/* Pointer, wheel, touch and keys. */
listen($("map"), map, {
  moved,
  click,
  pointed(x, y) {
    pointer = [x, y];
    if (map.grid && frames) probe();
  },
  left() {
    pointer = null;
    $("probe").hidden = true;
  },
});
const zoom = (times) => {
  map.zoom(times, innerWidth / 2, innerHeight / 2);
  moved();
};
$("in").onclick = () => zoom(1.5);
$("out").onclick = () => zoom(1 / 1.5);
$("fit").onclick = () => {
  map.fit();
  moved();
};
$("play").onclick = () => play(!state.playing);
$("back").onclick = () => step(-1);
$("on").onclick = () => step(1);
$("slide").oninput = () => {
  play(false);
  show(Number($("slide").value));
};
$("live").onclick = () => load(periods().length - 1);
$("view").onchange = () => choose(Number($("view").value), timeText(frames.times[state.at]).replace(" ", "T"));
$("span").onchange = () => load(Number($("span").value));
$("opacity").oninput = () => {
  map.opacity = $("opacity").value / 100;
  moved();
};
$("lang").onclick = () => {
  speak(state.lang === "ko" ? "en" : "ko");
  writeWords();
  show(state.at);
};
const KEYS = {
  " ": () => play(!state.playing), ArrowLeft: () => step(-1), ArrowRight: () => step(1), "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5),
  Home: () => { play(false); show(0); }, End: () => { play(false); show(frames.times.length - 1); }, Escape: closeSeries,
};
addEventListener("keydown", (event) => {
  const own = ["INPUT", "SELECT"].includes(event.target.tagName) || (event.key === " " && event.target.tagName === "BUTTON");
  if (!KEYS[event.key] || own || event.ctrlKey || event.altKey || event.metaKey || !frames) return;
  event.preventDefault();
  KEYS[event.key]();
});
addEventListener("resize", () => frames && moved());
start().catch((error) => {
  $("note").textContent = error.message;
});
