// As much of fragmented MP4 as the players need: track time scales from an init segment, sample
// times from fragments. Source: ISO/IEC 14496-12:2022.

/** @param {Uint8Array} bytes @param {number} at */
const type = (bytes, at) => String.fromCharCode(bytes[at + 4], bytes[at + 5], bytes[at + 6], bytes[at + 7]);

/** Walk the boxes between two offsets; a box that does not fit ends the walk. */
function* boxes(view, from, to) {
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  let at = from;
  while (at + 8 <= to) {
    let size = view.getUint32(at);
    let head = 8;
    if (size === 1) {
      if (at + 16 > to) return;
      size = Number(view.getBigUint64(at + 8));
      head = 16;
    } else if (size === 0) size = to - at;
    if (size < head || at + size > to) return;
    yield { type: type(bytes, at), from: at + head, to: at + size };
    at += size;
  }
}

const dataView = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/**
 * @typedef {{id: number, kind: "video" | "audio" | "other", timescale: number, duration: number,
 *   description: Uint8Array | null}} Track
 *   `duration` is the default sample duration, `description` the decoder configuration record.
 * @typedef {{time: number, at: number, size: number}} Sample
 *   `time` of presentation in the track's scale; bytes `at` to `at + size` of the fragment.
 */

/** @param {Uint8Array} init @returns {Track[]} */
export function tracks(init) {
  const view = dataView(init);
  const found = [];
  const defaults = new Map();
  for (const moov of boxes(view, 0, view.byteLength)) {
    if (moov.type !== "moov") continue;
    for (const box of boxes(view, moov.from, moov.to)) {
      if (box.type === "mvex") {
        for (const trex of boxes(view, box.from, box.to)) {
          if (trex.type === "trex") defaults.set(view.getUint32(trex.from + 4), view.getUint32(trex.from + 12));
        }
      }
      if (box.type === "trak") found.push(trak(view, box));
    }
  }
  for (const track of found) track.duration = defaults.get(track.id) ?? 0;
  return found;
}

function trak(view, box) {
  /** @type {Track} */
  const track = { id: 0, kind: "other", timescale: 1, duration: 0, description: null };
  for (const part of boxes(view, box.from, box.to)) {
    if (part.type === "tkhd") track.id = view.getUint32(part.from + (view.getUint8(part.from) ? 20 : 12));
    if (part.type !== "mdia") continue;
    for (const media of boxes(view, part.from, part.to)) {
      if (media.type === "mdhd") track.timescale = view.getUint32(media.from + (view.getUint8(media.from) ? 20 : 12));
      if (media.type === "hdlr") {
        const kind = view.getUint32(media.from + 8);
        if (kind === 0x76696465) track.kind = "video";
        if (kind === 0x736f756e) track.kind = "audio";
      }
      if (media.type === "minf") track.description = description(view, media);
    }
  }
  return track;
}

/** Content of `avcC` or `hvcC`, four levels down; null for any other codec. */
function description(view, box) {
  for (const child of boxes(view, box.from, box.to)) {
    if (child.type === "stbl") return description(view, child);
    if (child.type === "stsd") return description(view, { from: child.from + 8, to: child.to });
    if (["avc1", "avc3", "hvc1", "hev1"].includes(child.type)) return description(view, { from: child.from + 78, to: child.to });
    if (child.type === "avcC" || child.type === "hvcC") return new Uint8Array(view.buffer, view.byteOffset + child.from, child.to - child.from).slice();
  }
  return null;
}

/**
 * One track's samples in decode order. Sample positions count from the start of each `moof`, as
 * the box writes them (default-base-is-moof).
 * @param {Uint8Array} data @param {{id: number, duration: number}} track
 * @returns {Sample[]}
 */
export function samples(data, track) {
  const view = dataView(data);
  /** @type {Sample[]} */
  const found = [];
  for (const moof of boxes(view, 0, view.byteLength)) {
    if (moof.type !== "moof") continue;
    for (const traf of boxes(view, moof.from, moof.to)) {
      if (traf.type === "traf") readTraf(view, traf, moof.from - 8, track, found);
    }
  }
  return found;
}

function readTraf(view, traf, origin, track, found) {
  let base = 0;
  let { duration } = track;
  let size = 0;
  let mine = false;
  for (const box of boxes(view, traf.from, traf.to)) {
    const flags = box.to - box.from >= 4 ? view.getUint32(box.from) & 0xffffff : 0;
    if (box.type === "tfhd") {
      mine = view.getUint32(box.from + 4) === track.id;
      let at = box.from + 8;
      if (flags & 0x1) at += 8;
      if (flags & 0x2) at += 4;
      if (flags & 0x8) { duration = view.getUint32(at); at += 4; }
      if (flags & 0x10) size = view.getUint32(at);
    } else if (box.type === "tfdt") {
      base = view.getUint8(box.from) ? Number(view.getBigUint64(box.from + 4)) : view.getUint32(box.from + 4);
    } else if (box.type === "trun" && mine) {
      base = readTrun(view, box, flags, { origin, start: base, duration, size }, found);
    }
  }
}

function readTrun(view, box, flags, defaults, found) {
  const count = view.getUint32(box.from + 4);
  let at = box.from + 8;
  let place = defaults.origin;
  if (flags & 0x1) { place += view.getInt32(at); at += 4; }
  if (flags & 0x4) at += 4;
  const width = 4 * [0x100, 0x200, 0x400, 0x800].filter((bit) => flags & bit).length;
  let time = defaults.start;
  for (let index = 0; index < count && at + width <= box.to; index += 1) {
    let field = at;
    let { duration, size } = defaults;
    if (flags & 0x100) { duration = view.getUint32(field); field += 4; }
    if (flags & 0x200) { size = view.getUint32(field); field += 4; }
    if (flags & 0x400) field += 4;
    const offset = flags & 0x800 ? view.getInt32(field) : 0;
    found.push({ time: time + offset, at: place, size });
    time += duration;
    place += size;
    at += width;
  }
  return time;
}
