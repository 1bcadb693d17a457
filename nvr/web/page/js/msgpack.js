// MessagePack, as much as the control channel speaks: nil, booleans, numbers, strings, binary,
// arrays and maps with string keys. Source: msgpack specification, 2017.

const TEXT = new TextEncoder();
const UTF8 = new TextDecoder("utf-8", { fatal: true });

/** Bytes that are not MessagePack, or end early. */
export class BadPack extends Error {}

/** @param {any} value @returns {Uint8Array} */
export function pack(value) {
  /** @type {number[]} */
  const out = [];
  write(out, value);
  return Uint8Array.from(out);
}

function bigEndian(out, value, width) {
  for (let shift = width - 1; shift >= 0; shift -= 1) out.push(Math.floor(value / 2 ** (8 * shift)) & 0xff);
}

function head(out, length, small, limit, codes) {
  if (small !== null && length < limit) out.push(small | length);
  else if (codes.length === 3 && length < 0x100) out.push(codes[0], length);
  else if (length < 0x10000) {
    out.push(codes.at(-2));
    bigEndian(out, length, 2);
  } else {
    out.push(codes.at(-1));
    bigEndian(out, length, 4);
  }
}

function writeNumber(out, value) {
  if (Number.isSafeInteger(value) && !Object.is(value, -0)) {
    if (value >= 0) {
      if (value < 0x80) out.push(value);
      else if (value < 0x100) out.push(0xcc, value);
      else if (value < 0x10000) { out.push(0xcd); bigEndian(out, value, 2); }
      else if (value < 0x100000000) { out.push(0xce); bigEndian(out, value, 4); }
      else { out.push(0xcf); bigEndian(out, value, 8); }
      return;
    }
    if (value >= -32) { out.push(value & 0xff); return; }
    if (value >= -0x80000000) { out.push(0xd2); bigEndian(out, value >>> 0, 4); return; }
  }
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  out.push(0xcb, ...new Uint8Array(view.buffer));
}

function write(out, value) {
  if (value === null || value === undefined) out.push(0xc0);
  else if (value === false) out.push(0xc2);
  else if (value === true) out.push(0xc3);
  else if (typeof value === "number") writeNumber(out, value);
  else if (typeof value === "string") {
    const bytes = TEXT.encode(value);
    head(out, bytes.length, 0xa0, 32, [0xd9, 0xda, 0xdb]);
    for (const byte of bytes) out.push(byte);
  } else if (value instanceof Uint8Array) {
    head(out, value.length, null, 0, [0xc4, 0xc5, 0xc6]);
    for (const byte of value) out.push(byte);
  } else if (Array.isArray(value)) {
    head(out, value.length, 0x90, 16, [0xdc, 0xdd]);
    for (const item of value) write(out, item);
  } else {
    const entries = Object.entries(value).filter(([, item]) => item !== undefined);
    head(out, entries.length, 0x80, 16, [0xde, 0xdf]);
    for (const [key, item] of entries) {
      write(out, key);
      write(out, item);
    }
  }
}

/** @param {ArrayBuffer | Uint8Array} data @returns {any} */
export function unpack(data) {
  const bytes = data instanceof Uint8Array ? data : new Uint8Array(data);
  const reader = new Reader(bytes);
  const value = reader.read(0);
  if (reader.at !== bytes.length) throw new BadPack("bytes after the value");
  return value;
}

class Reader {
  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = 0;
  }

  take(count) {
    const from = this.at;
    if (count > this.bytes.length - from) throw new BadPack("ends early");
    this.at = from + count;
    return from;
  }

  uint(width) {
    const at = this.take(width);
    if (width === 1) return this.view.getUint8(at);
    if (width === 2) return this.view.getUint16(at);
    if (width === 4) return this.view.getUint32(at);
    return Number(this.view.getBigUint64(at));
  }

  int(width) {
    const at = this.take(width);
    if (width === 1) return this.view.getInt8(at);
    if (width === 2) return this.view.getInt16(at);
    if (width === 4) return this.view.getInt32(at);
    return Number(this.view.getBigInt64(at));
  }

  text(length) {
    const at = this.take(length);
    try {
      return UTF8.decode(this.bytes.subarray(at, at + length));
    } catch {
      throw new BadPack("not UTF-8");
    }
  }

  binary(length) {
    const at = this.take(length);
    return this.bytes.slice(at, at + length);
  }

  list(length, depth) {
    if (length > this.bytes.length - this.at) throw new BadPack("ends early");
    return Array.from({ length }, () => this.read(depth + 1));
  }

  map(length, depth) {
    if (length > this.bytes.length - this.at) throw new BadPack("ends early");
    const out = Object.create(null);
    for (let index = 0; index < length; index += 1) out[String(this.read(depth + 1))] = this.read(depth + 1);
    return out;
  }

  read(depth) {
    if (depth > 32) throw new BadPack("nested too deep");
    const code = this.uint(1);
    if (code < 0x80) return code;
    if (code < 0x90) return this.map(code & 0x0f, depth);
    if (code < 0xa0) return this.list(code & 0x0f, depth);
    if (code < 0xc0) return this.text(code & 0x1f);
    if (code >= 0xe0) return code - 0x100;
    switch (code) {
      case 0xc0: return null;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xc4: return this.binary(this.uint(1));
      case 0xc5: return this.binary(this.uint(2));
      case 0xc6: return this.binary(this.uint(4));
      case 0xca: return this.view.getFloat32(this.take(4));
      case 0xcb: return this.view.getFloat64(this.take(8));
      case 0xcc: return this.uint(1);
      case 0xcd: return this.uint(2);
      case 0xce: return this.uint(4);
      case 0xcf: return this.uint(8);
      case 0xd0: return this.int(1);
      case 0xd1: return this.int(2);
      case 0xd2: return this.int(4);
      case 0xd3: return this.int(8);
      case 0xd9: return this.text(this.uint(1));
      case 0xda: return this.text(this.uint(2));
      case 0xdb: return this.text(this.uint(4));
      case 0xdc: return this.list(this.uint(2), depth);
      case 0xdd: return this.list(this.uint(4), depth);
      case 0xde: return this.map(this.uint(2), depth);
      case 0xdf: return this.map(this.uint(4), depth);
      default: throw new BadPack(`type ${code}`);
    }
  }
}
