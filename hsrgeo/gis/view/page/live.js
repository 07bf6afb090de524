// A folder that grows: its index is asked for again and again, and a badge says how old the newest frame is.

import { timeText } from "./words.js";

const LATE_MIN = 15, OLD_MIN = 30; // a frame comes every five minutes, and is there a few minutes after its time
const HOUR_MIN = 60, DAY_MIN = 24 * HOUR_MIN;
const TICK_MS = 10_000;

/**
 * Ask for the index every so many seconds, and at once when the page is looked at again.
 *
 * `changed(index)` gets one that differs, and gives a promise of whether it was taken; if not, it gets it again.
 */
export function follow(read, first, every, changed) {
  let text = JSON.stringify(first), timer, asking = false;
  const ask = async () => {
    if (asking) return;
    asking = true;
    clearTimeout(timer);
    try {
      const index = await read(), now = JSON.stringify(index);
      if (now !== text && (await changed(index))) text = now;
    } catch {
      // no answer: the badge grows old, and the next one may come
    }
    asking = false;
    timer = setTimeout(ask, every * 1000);
  };
  timer = setTimeout(ask, every * 1000);
  document.addEventListener("visibilitychange", () => document.hidden || ask());
}

/** Keep a badge: `newest()` gives the time of the newest frame [s], `words()` the words. Return what writes it at once. */
export function badge(element, newest, words) {
  const write = () => {
    if (element.hidden) return;
    const time = newest(), minutes = Math.max(Math.floor((Date.now() / 1000 - time) / 60), 0);
    const { live, ago } = words(), [count, unit] = minutes < 2 * HOUR_MIN ? [minutes, 0] : minutes < 2 * DAY_MIN ? [minutes / HOUR_MIN, 1] : [minutes / DAY_MIN, 2];
    element.textContent = `${live} ${timeText(time).slice(-5)}, ${Math.floor(count)}${ago[unit]}`;
    element.className = minutes >= OLD_MIN ? "old" : minutes >= LATE_MIN ? "late" : "";
  };
  setInterval(write, TICK_MS);
  return write;
}
