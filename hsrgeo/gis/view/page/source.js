// Where bytes come from: a web server, or this very page where it was saved as one file.

const embedded = () => {
  const element = globalThis.document?.getElementById("embedded");
  return element ? JSON.parse(element.textContent) : null;
};

/** Return an object with `json(path)` and `cog(path)`, the latter with `read(start, end)` for `Cog`. */
export function bytesOf() {
  const held = embedded();
  if (held) {
    return {
      whole: false,
      json: async (path) => held.index[path],
      cog: (path) => {
        const bytes = Uint8Array.from(atob(held.heads[path] ?? ""), (letter) => letter.charCodeAt(0));
        return { read: async (start, end) => bytes.subarray(start, end), size: bytes.length };
      },
    };
  }
  return { whole: true, json, cog: (path) => new Remote(path) };
}

const url = (path) => path.split("/").map(encodeURIComponent).join("/");

async function json(path) {
  const answer = await fetch(url(path), { cache: "no-cache" });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

/** A file was replaced while it was read: what was read before is of another. */
export class Replaced extends Error {}

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
    }
    return this.file.subarray(start, end);
  }
}
