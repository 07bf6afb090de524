// The series of a place: a line with gaps, and the same as CSV.

import { both, kindOf, physical, UNSEEN, ECHO } from "./values.js";
import { timeText } from "./words.js";

const NS = "http://www.w3.org/2000/svg";
const WIDTH = 400, HEIGHT = 120, LEFT = 30;

const make = (name, attributes) => {
  const element = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
};

/** Return what is drawn and written of a stored value: of reflectivity mm/h, where a law gives it; null for a gap. */
function shown(stored, quantity) {
  if (stored === null || kindOf(stored, quantity) === UNSEEN) return null;
  const value = quantity.unit === "dBZ" ? both(stored, quantity).rate : physical(stored, quantity);
  return value ?? (quantity.unit === "dBZ" ? 0 : null);
}

/** Return the series as SVG. `values` are stored values or null; `now` is the place of the frame on the map. */
export function chart(times, values, quantity, now) {
  const svg = make("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT + 14}`, preserveAspectRatio: "none", role: "img" });
  const numbers = values.map((stored) => shown(stored, quantity));
  const most = Math.max(...numbers.filter((one) => one !== null), quantity.unit === "dBZ" ? 1 : 0.1);
  const x = (order) => LEFT + ((WIDTH - LEFT) * (order + 0.5)) / times.length, y = (value) => HEIGHT - (HEIGHT - 8) * (Math.max(value, 0) / most);
  let path = "", open = false;
  numbers.forEach((value, order) => {
    if (value === null) {
      svg.append(make("rect", { class: "gap", x: x(order - 0.5), y: 0, width: (WIDTH - LEFT) / times.length + 0.3, height: HEIGHT }));
    } else {
      path += `${open ? "L" : "M"}${x(order).toFixed(1)} ${y(value).toFixed(1)}${open ? "" : "h.01"}`;
    }
    open = value !== null;
  });
  svg.append(make("line", { class: "axis", x1: LEFT, x2: WIDTH, y1: HEIGHT, y2: HEIGHT }), make("path", { class: "line", d: path }));
  svg.append(make("line", { class: "now", x1: x(now), x2: x(now), y1: 0, y2: HEIGHT }));
  const labels = [[0, 12, "start", most.toPrecision(2)], [0, HEIGHT, "start", "0"], [LEFT, HEIGHT + 13, "start", timeText(times[0]).slice(5)],
    [WIDTH, HEIGHT + 13, "end", timeText(times.at(-1)).slice(5)]];
  for (const [at, down, anchor, words] of labels) {
    const text = make("text", { x: at, y: down, "text-anchor": anchor });
    text.textContent = words;
    svg.append(text);
  }
  return svg;
}

/** Return the series as a table: times in UTC and KST, what was seen, and dBZ and mm/h or the value. */
export function csv(times, values, quantity, lon, lat) {
  const rates = quantity.unit === "dBZ" || quantity.unit === "mm/h";
  const rows = [["time_utc", "time_kst", "lon", "lat", "seen", ...(rates ? ["dbz", "mm_h"] : [`value_${quantity.unit || "code"}`])]];
  times.forEach((time, order) => {
    const stored = values[order];
    const seen = stored === null ? "gap" : kindOf(stored, quantity);
    const pair = stored === null ? { dbz: null, rate: null } : both(stored, quantity);
    const rate = seen === ECHO || pair.rate !== null ? pair.rate : quantity.unit === "dBZ" && seen === "dry" ? 0 : null;
    const numbers = rates ? [pair.dbz, rate] : [stored === null ? null : physical(stored, quantity)];
    const iso = (hours, zone) => `${timeText(time, null, hours).replace(" ", "T")}:00${zone}`;
    rows.push([iso(0, "Z"), iso(9, "+09:00"), lon.toFixed(5), lat.toFixed(5), seen, ...numbers.map((one) => (one === null ? "" : +one.toPrecision(6)))]);
  });
  return rows.map((row) => row.join(",")).join("\n") + "\n";
}
