// Where bytes come from: a web server, or this very page where it was saved as one file.

const WHOLE = 24; // files that are kept whole, where a server gives no parts

/** Return an object with `json(path)` and `cog(path)`, the latter with `read(start, end)` for `Cog`. */
export function bytesOf() {
  const element = globalThis.document?.getElementById("embedded");
  if (!element) return { whole: true, json, cog: (path) => new Remote(path) };
  const { index, heads } = JSON.parse(element.textContent);
  element.remove();
  return { whole: false, json: async (path) => index[path], cog: (path) => new Embedded(heads[path] ?? "") };
}

/** Bytes in this page, as base64. */
class Embedded {
  constructor(text) {
    this.text = text;
    this.size = (text.length / 4) * 3 - (text.match(/=*$/)[0].length);
  }

  async read(start, end) {
    await new Promise((done) => setTimeout(done)); // what waits to be drawn comes first
    this.bytes ??= Uint8Array.fromBase64?.(this.text) ?? plain(atob(this.text));
    this.text = null;
    return this.bytes.subarray(start, end);
  }
}

function plain(letters) {
  const bytes = new Uint8Array(letters.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = letters.charCodeAt(at);
  return bytes;
}

const url = (path) => path.split("/").map(encodeURIComponent).join("/");

async function json(path) {
  const answer = await fetch(url(path), { cache: "no-cache" });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

/** A file was replaced while it was read: what was read before is of another. */
export class Replaced extends Error {}

const whole = [];

class Remote {
  constructor(path) {
    this.path = path;
    this.tag = null;
    this.file = null; // all of it, where the server gives no parts
  }

  async read(start, end) {
    if (!this.file) {
      const answer = await fetch(url(this.path), { cache: "no-cache", headers: { Range: `bytes=${start}-${end - 1}` } });
      if (answer.status === 416) return new Uint8Array(0);
      if (!answer.ok) throw new Error(`${this.path}: ${answer.status}`);
      const tag = answer.headers.get("ETag") ?? answer.headers.get("Last-Modified");
      if (this.tag !== null && tag !== this.tag) throw new Replaced(this.path);
      this.tag = tag;
      const bytes = new Uint8Array(await answer.arrayBuffer());
      if (answer.status === 206) return bytes;
      this.file = bytes;
      whole.push(this);
      if (whole.length > WHOLE) whole.shift().file = null;
      return bytes.subarray(start, end);
    }
    return this.file.subarray(start, end);
  }
}
