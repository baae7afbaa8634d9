import { Inflate } from 'fflate';

import { crc32 } from './crc32.js';
import { ImagingError, messageOf } from './imaging-error.js';

/** Bytes that are read piece by piece: a file in Node, a Blob in the browser. */
export interface RandomAccess {
  readonly size: number;
  /** Exactly `length` bytes from `offset`, which lie inside of it. */
  readonly read: (offset: number, length: number) => Promise<Uint8Array>;
}

/** A file in a zip archive. Its name is only a name: nothing is ever written under it. */
export interface ZipEntry {
  readonly name: string;
  readonly size: number;
  /** The file's first `limit` bytes, or all of them, whose checksum is compared. */
  readonly read: (limit?: number) => Promise<Uint8Array>;
}

const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END = 0x06054b50;
const END_64 = 0x06064b50;
const LOCATOR_64 = 0x07064b50;
const MAX_ENTRIES = 200_000;
const MAX_DIRECTORY_BYTES = 2 ** 26;
const MAX_ENTRY_BYTES = 2 ** 30;
const INFLATE_STEP = 2 ** 14;
const UTF_8 = new TextDecoder('utf-8', { fatal: true });
/** Characters of the bytes from 128 up. */
const CODE_PAGE_437 =
  'ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0';

const bad = (message: string): ImagingError => new ImagingError('bad-archive', message);

interface Record {
  readonly name: string;
  readonly flags: number;
  readonly method: number;
  readonly crc: number;
  readonly packed: number;
  readonly size: number;
  readonly offset: number;
}

/**
 * The files in a zip archive (stored or deflated, Zip64 too), in its directory's order. Nothing is unpacked before it is
 * asked for, and never more than the entry's stated size; archives whose entries overlap, as bombs' do, are refused.
 */
export async function openZip(input: RandomAccess): Promise<ZipEntry[]> {
  const { offset, length, count } = await findDirectory(input);
  if (count > MAX_ENTRIES || length > MAX_DIRECTORY_BYTES) {
    throw new ImagingError('too-large', `Expected at most ${MAX_ENTRIES} files in the zip archive, found ${count}.`);
  }
  if (offset + length > input.size) throw bad('Expected the zip directory inside of the file, found it cut off.');
  const records = readDirectory(await input.read(offset, length), count);
  const packed = records.reduce((sum, record) => sum + record.packed, 0);
  if (packed > input.size)
    throw bad('Expected files side by side in the zip archive, found overlapping ones: it is hostile.');
  return records
    .filter(({ name }) => !name.endsWith('/'))
    .map((record) => ({
      name: record.name,
      size: record.size,
      read: (limit = record.size) => readEntry(input, record, Math.min(limit, record.size)),
    }));
}

async function findDirectory(input: RandomAccess): Promise<{ offset: number; length: number; count: number }> {
  const size = Math.min(input.size, 22 + 0xffff);
  const tail = await input.read(input.size - size, size);
  const view = viewOf(tail);
  let at = tail.length - 22;
  while (at >= 0 && view.getUint32(at, true) !== END) at--;
  if (at < 0) throw bad('Expected a zip archive, found none, or one that is cut off.');
  const plain = {
    count: view.getUint16(at + 10, true),
    length: view.getUint32(at + 12, true),
    offset: view.getUint32(at + 16, true),
  };
  if (plain.count !== 0xffff && plain.length !== 0xffffffff && plain.offset !== 0xffffffff) return plain;
  if (at < 20 || view.getUint32(at - 20, true) !== LOCATOR_64) return plain;
  const place = Number(view.getBigUint64(at - 12, true));
  if (!(place + 56 <= input.size)) throw bad('Expected the Zip64 directory inside of the file, found it cut off.');
  const end = viewOf(await input.read(place, 56));
  if (end.getUint32(0, true) !== END_64) throw bad('Expected a Zip64 directory, found something else.');
  return {
    count: Number(end.getBigUint64(32, true)),
    length: Number(end.getBigUint64(40, true)),
    offset: Number(end.getBigUint64(48, true)),
  };
}

function readDirectory(bytes: Uint8Array, count: number): Record[] {
  const view = viewOf(bytes);
  const records: Record[] = [];
  let at = 0;
  while (records.length < count) {
    if (at + 46 > bytes.length || view.getUint32(at, true) !== CENTRAL) {
      throw bad(`Expected ${count} files in the zip directory, found ${records.length}: it is damaged.`);
    }
    const nameLength = view.getUint16(at + 28, true);
    const extraLength = view.getUint16(at + 30, true);
    const next = at + 46 + nameLength + extraLength + view.getUint16(at + 32, true);
    if (next > bytes.length) throw bad('Expected a whole zip directory, found it cut off.');
    const flags = view.getUint16(at + 8, true);
    const [packed, size, offset] = sizes64(view, at, at + 46 + nameLength, extraLength);
    records.push({
      name: nameOf(bytes.subarray(at + 46, at + 46 + nameLength)),
      flags,
      method: view.getUint16(at + 10, true),
      crc: view.getUint32(at + 16, true),
      packed,
      size,
      offset,
    });
    at = next;
  }
  return records;
}

/** A name in UTF-8, which many programs write without its flag, or else in the code page that zip began with. */
function nameOf(bytes: Uint8Array): string {
  let name: string;
  try {
    name = UTF_8.decode(bytes);
  } catch {
    name = Array.from(bytes, (byte) => (byte < 128 ? String.fromCharCode(byte) : CODE_PAGE_437[byte - 128]!)).join('');
  }
  // eslint-disable-next-line no-control-regex
  return name.replaceAll(/[\x00-\x1f\x7f-\x9f]/g, '?');
}

/** Packed size, size and offset of an entry, which Zip64 writes in an extra field where 32 bits do not do. */
function sizes64(view: DataView, at: number, extra: number, extraLength: number): [number, number, number] {
  const values: [number, number, number] = [
    view.getUint32(at + 20, true),
    view.getUint32(at + 24, true),
    view.getUint32(at + 42, true),
  ];
  const end = extra + extraLength;
  for (let field = extra; field + 4 <= end; field += 4 + view.getUint16(field + 2, true)) {
    if (view.getUint16(field, true) !== 1) continue;
    let place = field + 4;
    // In this order, and only those that are full of ones above.
    for (const index of [1, 0, 2] as const) {
      if (values[index] !== 0xffffffff || place + 8 > end) continue;
      values[index] = Number(view.getBigUint64(place, true));
      place += 8;
    }
  }
  return values;
}

async function readEntry(input: RandomAccess, record: Record, limit: number): Promise<Uint8Array> {
  const { name, flags, method, crc, packed, size, offset } = record;
  if ((flags & 1) !== 0) throw bad(`Expected files without a password, found ${name} encrypted: unpack it first.`);
  if (method !== 0 && method !== 8) throw bad(`Expected stored or deflated files, found method ${method} for ${name}.`);
  if (size > MAX_ENTRY_BYTES) {
    throw new ImagingError(
      'too-large',
      `Expected files of at most ${MAX_ENTRY_BYTES} bytes, found ${name} of ${size}.`,
    );
  }
  const cut = (): ImagingError => bad(`Expected ${name} inside of the zip archive, found it cut off.`);
  if (offset + 30 > input.size) throw cut();
  const local = viewOf(await input.read(offset, 30));
  if (local.getUint32(0, true) !== LOCAL) throw bad(`Expected ${name} where the zip directory says, found it not.`);
  const start = offset + 30 + local.getUint16(26, true) + local.getUint16(28, true);
  // Deflated data is at most a little longer than what it stands for.
  const wanted = Math.min(packed, limit + (limit >> 8) + 1024);
  if (start + wanted > input.size || (method === 0 && packed !== size)) throw cut();
  const raw = await input.read(start, wanted);
  const bytes = method === 0 ? raw.subarray(0, limit) : inflate(raw, limit, name);
  if (limit === size && crc32(bytes) !== crc) throw bad(`Expected ${name} as it was packed, found it damaged.`);
  return bytes;
}

/** The first `limit` bytes that `raw` stands for; inflating stops there, whatever follows. */
function inflate(raw: Uint8Array, limit: number, name: string): Uint8Array {
  const out = new Uint8Array(limit);
  let filled = 0;
  const stream = new Inflate((chunk) => {
    const room = Math.min(chunk.length, limit - filled);
    out.set(chunk.subarray(0, room), filled);
    filled += room;
  });
  try {
    for (let at = 0; at < raw.length && filled < limit; at += INFLATE_STEP) {
      stream.push(raw.subarray(at, at + INFLATE_STEP), false);
    }
  } catch (error) {
    throw bad(`Expected ${name} as deflated data, found damage (${messageOf(error)}).`);
  }
  if (filled < limit) throw bad(`Expected ${limit} bytes of ${name}, found ${filled}: the zip archive is damaged.`);
  return out;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
