// Of which stream the pictures are that lie in the buffer of an element. One stream's group may begin
// before the other's ends, and then hides it.

const MOST = 200;

export class Laid {
  /** The newest last. @type {{from_s: number, to_s: number, stream: string}[]} */
  #pieces = [];

  clear() {
    this.#pieces = [];
  }

  /** @param {number} from_s @param {number} to_s @param {string} stream */
  add(from_s, to_s, stream) {
    const last = this.#pieces.at(-1);
    if (last && last.stream === stream && Math.abs(last.to_s - from_s) < 0.1) last.to_s = to_s;
    else this.#pieces.push({ from_s, to_s, stream });
    if (this.#pieces.length > MOST) this.#pieces.shift();
  }

  /** @param {number} media_s @returns {string} Empty where nothing is. */
  streamAt(media_s) {
    return this.#pieces.findLast((one) => one.from_s <= media_s && media_s < one.to_s)?.stream ?? "";
  }
}
