// What stored values mean: classes and their colours, physical numbers, rain from reflectivity and back.

export const UNSEEN = "unseen";
export const DRY = "dry";
export const ECHO = "echo";

/** Return what a stored value is: not observed, observed and nothing there, or a measurement. */
export function kindOf(stored, quantity) {
  if (stored < quantity.undetect) return UNSEEN;
  return stored < quantity.echo_from ? DRY : ECHO;
}

/** Return the physical value of a stored one; null where not observed, 0 of rain that was not there. */
export function physical(stored, quantity) {
  const kind = kindOf(stored, quantity);
  if (kind === ECHO) return (stored - quantity.minus) / quantity.scale;
  return kind === DRY && isRain(quantity) ? 0 : null;
}

export const isRain = (quantity) => quantity.unit === "mm/h" || quantity.unit === "mm";

/** Return mm/h of a reflectivity by the law Z = a R^b. */
export const rate = (dbz, [a, b]) => (10 ** (dbz / 10) / a) ** (1 / b);

/** Return dBZ of a rain rate above 0 by the law Z = a R^b. */
export const reflectivity = (mm, [a, b]) => 10 * (Math.log10(a) + b * Math.log10(mm));

/** Return dBZ and mm/h of a measurement, each null where it is not known. */
export function both(stored, quantity) {
  const value = physical(stored, quantity);
  if (value === null || !quantity.law) return { dbz: null, rate: quantity.unit === "mm/h" ? value : null };
  if (quantity.unit === "dBZ") return { dbz: value, rate: rate(value, quantity.law) };
  return { dbz: value > 0 ? reflectivity(value, quantity.law) : null, rate: value };
}

const LEAST = -32768;

/**
 * Return a painter: `paint(data, pixels)` puts a colour, as ImageData has it, into a Uint32Array for each stored value.
 *
 * Not observed and dry have colours of their own, `unseen` and `dry`, as [red, green, blue, alpha].
 */
export function painter(quantity, classes, { unseen, dry }) {
  const most = Math.max(...classes.map((one) => one.first), quantity.echo_from); // all above is of the last class
  const table = new Uint32Array(most - LEAST + 1).fill(packed(unseen));
  table.fill(packed(dry), Math.max(quantity.undetect - LEAST, 0));
  for (const { first, last, rgb, alpha = 255 } of classes) {
    if (last >= first) table.fill(packed([...rgb, alpha]), first - LEAST, Math.min(last, most) - LEAST + 1);
  }
  return (data, pixels) => {
    for (let order = 0; order < data.length; order++) {
      const stored = data[order];
      pixels[order] = table[(stored < LEAST ? LEAST : stored > most ? most : stored) - LEAST];
    }
  };
}

const packed = ([red, green, blue, alpha]) => ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0; // little-endian
