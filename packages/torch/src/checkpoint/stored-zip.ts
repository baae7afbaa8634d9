import fs from 'node:fs';

/** A file inside an archive: its bytes stand as they are from `start` on. */
export interface StoredEntry {
  readonly name: string;
  readonly start: number;
  readonly size: number;
}

const END = { signature: 0x06054b50, size: 22 } as const;
const END64_LOCATOR = { signature: 0x07064b50, size: 20 } as const;
const END64 = { signature: 0x06064b50, size: 56 } as const;
const CENTRAL = { signature: 0x02014b50, size: 46 } as const;
const LOCAL = { signature: 0x04034b50, size: 30 } as const;
const MAX_COMMENT = 0xffff;
/** A field of 32 bits that says: see the field of 64 bits. */
const SEE_64 = 0xffffffff;
const ZIP64_EXTRA = 1;

/** Reads `length` bytes at `position`, or throws if the file is not that long. */
export function readExactly(descriptor: number, position: number, length: number): Buffer {
  const buffer = Buffer.alloc(length);
  for (let done = 0; done < length;) {
    const got = fs.readSync(descriptor, buffer, done, length - done, position + done);
    if (got === 0) throw new Error(`it ends within the ${length} bytes at ${position}`);
    done += got;
  }
  return buffer;
}

/**
 * The files of a zip archive whose entries are stored, as PyTorch writes them, with ZIP64 where it is large.
 *
 * @throws in part of a sentence where the archive is broken, compressed or encrypted, names a file twice, or its files together
 * are larger than the archive itself.
 */
export function listStoredEntries(descriptor: number): Map<string, StoredEntry> {
  const fileSize = fs.fstatSync(descriptor).size;
  const { count, offset, size } = findDirectory(descriptor, fileSize);
  if (offset + size > fileSize || count * CENTRAL.size > size)
    throw new Error(`its directory of ${count} files does not fit into its ${fileSize} bytes; is it cut off?`);
  const directory = readExactly(descriptor, offset, size);
  const entries = new Map<string, StoredEntry>();
  let total = 0;
  for (let i = 0, at = 0; i < count; i++) {
    if (at + CENTRAL.size > size || directory.readUInt32LE(at) !== CENTRAL.signature)
      throw new Error(`entry ${i + 1} of its directory is broken`);
    const nameLength = directory.readUInt16LE(at + 28);
    const extraLength = directory.readUInt16LE(at + 30);
    const end = at + CENTRAL.size + nameLength + extraLength + directory.readUInt16LE(at + 32);
    if (end > size) throw new Error(`entry ${i + 1} of its directory is cut off`);
    const name = directory.toString('utf8', at + CENTRAL.size, at + CENTRAL.size + nameLength);
    const extra = directory.subarray(at + CENTRAL.size + nameLength, at + CENTRAL.size + nameLength + extraLength);
    const entry = checkedEntry(descriptor, fileSize, {
      name,
      fields: directory.subarray(at, at + CENTRAL.size),
      extra,
    });
    if (entries.has(name)) throw new Error(`it holds two files ${JSON.stringify(name)}`);
    entries.set(name, entry);
    total += entry.size;
    if (total > fileSize) throw new Error(`its files together are larger than the archive`);
    at = end;
  }
  return entries;
}

function findDirectory(descriptor: number, fileSize: number): { count: number; offset: number; size: number } {
  const tailStart = Math.max(0, fileSize - END.size - MAX_COMMENT);
  const tail = readExactly(descriptor, tailStart, fileSize - tailStart);
  let at = tail.length - END.size;
  while (at >= 0 && tail.readUInt32LE(at) !== END.signature) at--;
  if (at < 0) throw new Error('it has no zip directory at its end; is it cut off?');
  const count = tail.readUInt16LE(at + 10);
  const size = tail.readUInt32LE(at + 12);
  const offset = tail.readUInt32LE(at + 16);
  if (count !== 0xffff && size !== SEE_64 && offset !== SEE_64) return { count, offset, size };
  const locatorAt = tailStart + at - END64_LOCATOR.size;
  if (locatorAt < 0) throw new Error('its ZIP64 directory is missing');
  const locator = readExactly(descriptor, locatorAt, END64_LOCATOR.size);
  // Archives of exactly 65535 files and no ZIP64 directory are legal.
  if (locator.readUInt32LE(0) !== END64_LOCATOR.signature) return { count, offset, size };
  const record = readExactly(descriptor, exact(locator.readBigUInt64LE(8)), END64.size);
  if (record.readUInt32LE(0) !== END64.signature) throw new Error('its ZIP64 directory is broken');
  return {
    count: exact(record.readBigUInt64LE(32)),
    size: exact(record.readBigUInt64LE(40)),
    offset: exact(record.readBigUInt64LE(48)),
  };
}

function checkedEntry(
  descriptor: number,
  fileSize: number,
  { name, fields, extra }: { name: string; fields: Buffer; extra: Buffer },
): StoredEntry {
  const quoted = JSON.stringify(name);
  if ((fields.readUInt16LE(8) & 1) !== 0) throw new Error(`its file ${quoted} is encrypted`);
  if (fields.readUInt16LE(10) !== 0) throw new Error(`its file ${quoted} is compressed, which PyTorch never does`);
  const wide = zip64Fields(extra);
  const field = (at: number): number => {
    const value = fields.readUInt32LE(at);
    return value === SEE_64 ? (wide.shift() ?? value) : value;
  };
  // In the order in which the ZIP64 field holds those that did not fit.
  const size = field(24);
  const stored = field(20);
  const header = field(42);
  if (size !== stored) throw new Error(`its stored file ${quoted} has two sizes, ${stored} and ${size}`);
  if (header + LOCAL.size > fileSize) throw new Error(`its file ${quoted} begins behind its end`);
  const local = readExactly(descriptor, header, LOCAL.size);
  if (local.readUInt32LE(0) !== LOCAL.signature) throw new Error(`its file ${quoted} is not where the directory says`);
  const start = header + LOCAL.size + local.readUInt16LE(26) + local.readUInt16LE(28);
  if (start + size > fileSize)
    throw new Error(`its file ${quoted} of ${size} bytes at ${start} reaches behind its end at ${fileSize}`);
  return { name, start, size };
}

function zip64Fields(extra: Buffer): number[] {
  for (let at = 0; at + 4 <= extra.length;) {
    const length = extra.readUInt16LE(at + 2);
    if (extra.readUInt16LE(at) === ZIP64_EXTRA && at + 4 + length <= extra.length)
      return Array.from({ length: Math.floor(length / 8) }, (_, i) => exact(extra.readBigUInt64LE(at + 4 + 8 * i)));
    at += 4 + length;
  }
  return [];
}

function exact(value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new Error(`it speaks of ${value} bytes, more than there can be`);
  return Number(value);
}
