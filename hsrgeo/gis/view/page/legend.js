// What colours and values mean, in words.

import { both, kindOf, physical, isRain, UNSEEN, DRY } from "./values.js";

const LABELLED = 4; // on a narrow page every so many classes

/** Return the rows of the legend of a view, the highest class first. */
export function legend({ quantity, classes }, words) {
  const head = document.createElement("b");
  head.textContent = quantity.unit || words.quantity[quantity.name] || quantity.name;
  const rows = [...classes].reverse().map((each, order) => row(each.rgb, each.label, order % LABELLED ? "few" : ""));
  return [head, ...rows, row(null, isRain(quantity) ? words.norain : words.dry, "apart", "dry"), row(null, words.unseen, "apart", "unseen")];
}

function row(rgb, text, kind, fill) {
  const line = document.createElement("div"), swatch = document.createElement("i"), words = document.createElement("span");
  line.className = `row ${kind}`;
  if (rgb) swatch.style.background = `rgb(${rgb})`;
  if (fill) swatch.className = fill;
  words.textContent = text;
  if (kind === "few") words.className = "few";
  line.append(swatch, words);
  return line;
}

/** Return a stored value, null for a gap, as it is said under the pointer. */
export function textOf(stored, quantity, words) {
  if (stored === null) return words.gap;
  const kind = kindOf(stored, quantity);
  if (kind === UNSEEN) return words.unseen;
  if (kind === DRY) return isRain(quantity) ? `0 ${quantity.unit}` : words.dry;
  const { dbz, rate } = both(stored, quantity);
  const mm = rate === null ? null : `${rate < 10 ? rate.toFixed(2) : rate.toFixed(1)} mm/h`;
  if (quantity.unit === "dBZ") return `${dbz.toFixed(2)} dBZ · ${mm}`;
  if (quantity.unit === "mm/h") return dbz === null ? mm : `${mm} · ${dbz.toFixed(1)} dBZ`;
  return `${physical(stored, quantity)} ${quantity.unit}`;
}
