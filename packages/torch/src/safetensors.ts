import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { wrongBool } from './bool-bytes.js';
import {
  byteLengthOf,
  isSafetensorsDtype,
  ITEM_SIZES,
  parseSafetensorsHeader,
  summary,
  type SafetensorsDtype,
  type SafetensorsEntry,
  type SafetensorsHeader,
} from './safetensors-header.js';

export { ITEM_SIZES, type SafetensorsDtype, type SafetensorsEntry, type SafetensorsHeader };

/** The format's own limit. */
const MAX_HEADER = 100_000_000;
/** Bytes read or written at a time: enough for a disk's full speed, little beside the tensors. */
const CHUNK = 16 * 2 ** 20;
const LENGTH_FIELD = 8;

const readAt = promisify(fs.read);

/**
 * An open safetensors file: validated header, tensors read one by one into memory of the caller. Close it, or declare it
 * with `using`. Throws one sentence with the file's name where the file breaks the format.
 */
export class SafetensorsFile implements SafetensorsHeader, Disposable {
  readonly path: string;
  /** Tensors by name, in the order of the header. */
  readonly entries: ReadonlyMap<string, SafetensorsEntry>;
  /** The free-text metadata of the header. */
  readonly metadata: ReadonlyMap<string, string>;
  readonly #dataStart: number;
  #descriptor: number | undefined;

  private constructor(file: string, descriptor: number, header: SafetensorsHeader, dataStart: number) {
    this.path = file;
    this.#descriptor = descriptor;
    this.entries = header.entries;
    this.metadata = header.metadata;
    this.#dataStart = dataStart;
  }

  /** Opens a file and validates its whole header; reads none of the tensors. */
  static open(file: string): SafetensorsFile {
    let descriptor: number;
    try {
      // Without O_NONBLOCK, opening a named pipe would wait for ever.
      descriptor = fs.openSync(file, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
    } catch (error) {
      throw new Error(`Cannot open the safetensors file ${file}: ${(error as Error).message}`, { cause: error });
    }
    try {
      const { header, dataStart } = readHeader(descriptor);
      return new SafetensorsFile(file, descriptor, header, dataStart);
    } catch (error) {
      fs.closeSync(descriptor);
      throw refused(file, error);
    }
  }

  /** Reads the bytes (little-endian, row-major) of one tensor into `into`, which has exactly its length. */
  read(name: string, into: Uint8Array): void {
    const { descriptor, entry } = this.#prepare(name, into);
    for (let done = 0; done < into.byteLength;) {
      const length = Math.min(CHUNK, into.byteLength - done);
      const got = fs.readSync(descriptor, into, done, length, this.#dataStart + entry.begin + done);
      this.#check(entry, into.subarray(done, done + got));
      done += got;
    }
  }

  /** As `read`, without blocking the event loop; `into` must not change until the promise settles. */
  async readAsync(name: string, into: Uint8Array): Promise<void> {
    const { descriptor, entry } = this.#prepare(name, into);
    for (let done = 0; done < into.byteLength;) {
      const length = Math.min(CHUNK, into.byteLength - done);
      const { bytesRead } = await readAt(descriptor, into, done, length, this.#dataStart + entry.begin + done);
      this.#check(entry, into.subarray(done, done + bytesRead));
      done += bytesRead;
    }
  }

  /** Closes the file; closing twice does nothing. No read may be under way. */
  close(): void {
    if (this.#descriptor === undefined) return;
    fs.closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #prepare(name: string, into: Uint8Array): { descriptor: number; entry: SafetensorsEntry } {
    if (this.#descriptor === undefined)
      throw new Error(`${this.path} is closed: open it again to read ${summary(name)}`);
    const entry = this.entries.get(name);
    if (entry === undefined) {
      throw new Error(`${this.path} holds no tensor ${summary(name)}: it holds ${this.entries.size} others`);
    }
    const bytes = entry.end - entry.begin;
    if (into.byteLength !== bytes) {
      throw new Error(
        `Expected a buffer of ${bytes} bytes for tensor ${summary(name)}, found one of ${into.byteLength}`,
      );
    }
    return { descriptor: this.#descriptor, entry };
  }

  #check(entry: SafetensorsEntry, chunk: Uint8Array): void {
    if (chunk.length === 0) {
      throw refused(
        this.path,
        new Error(`tensor ${summary(entry.name)} ends early: the file became shorter while open`),
      );
    }
    const wrong = entry.dtype === 'BOOL' ? wrongBool(chunk) : undefined;
    if (wrong !== undefined) {
      throw refused(this.path, new Error(`tensor ${summary(entry.name)}: expected BOOL bytes 0 or 1, found ${wrong}`));
    }
  }
}

/** Reads and validates the header of a safetensors file and closes the file. */
export function readSafetensorsHeader(file: string): SafetensorsHeader {
  using opened = SafetensorsFile.open(file);
  return { entries: opened.entries, metadata: opened.metadata };
}

function readHeader(descriptor: number): { header: SafetensorsHeader; dataStart: number } {
  const stat = fs.fstatSync(descriptor);
  if (!stat.isFile()) throw new Error('expected a regular file, found a folder or device');
  if (stat.size < LENGTH_FIELD) throw new Error(`expected at least ${LENGTH_FIELD} bytes, found ${stat.size}`);
  const field = Buffer.alloc(LENGTH_FIELD);
  readFully(descriptor, field, 0);
  const claimed = field.readBigUInt64LE();
  const most = Math.min(MAX_HEADER, stat.size - LENGTH_FIELD);
  if (claimed > BigInt(most)) {
    throw new Error(`expected a header of at most ${most} bytes, found a claimed length of ${claimed.toString()}`);
  }
  const bytes = Buffer.alloc(Number(claimed));
  readFully(descriptor, bytes, LENGTH_FIELD);
  const dataStart = LENGTH_FIELD + bytes.length;
  return { header: parseSafetensorsHeader(bytes, stat.size - dataStart), dataStart };
}

function readFully(descriptor: number, into: Buffer, position: number): void {
  for (let done = 0; done < into.length;) {
    const got = fs.readSync(descriptor, into, done, into.length - done, position + done);
    if (got === 0) throw new Error('expected a whole header, found the end of the file');
    done += got;
  }
}

function refused(file: string, cause: unknown): Error {
  return new Error(`${file} is no valid safetensors file: ${(cause as Error).message}`, { cause });
}

/** A tensor to write: contiguous little-endian bytes, or a function that is called for them when their turn comes. */
export interface SafetensorsSource {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  readonly data: Uint8Array | (() => Uint8Array);
}

/**
 * Writes a safetensors file, tensor by tensor, under a temporary name that is synced and renamed at the end: `file` is
 * either the old one or the whole new one. Throws on repeated names and on data whose length is not that of the shape;
 * on any failure, a full disk included, the temporary file is removed.
 */
export function writeSafetensors(
  file: string,
  tensors: Iterable<SafetensorsSource>,
  metadata: Readonly<Record<string, string>> = {},
): void {
  const { header, ordered } = layOut([...tensors], metadata);
  const temporary = path.join(path.dirname(file), `.${path.basename(file)}.${crypto.randomUUID()}.tmp`);
  let descriptor: number | undefined;
  try {
    descriptor = fs.openSync(temporary, 'wx');
    writeFully(descriptor, header);
    for (const { source, bytes } of ordered) {
      const data = typeof source.data === 'function' ? source.data() : source.data;
      if (data.byteLength !== bytes) {
        throw new Error(
          `expected ${bytes} bytes for tensor ${summary(source.name)}, ${source.dtype} ${summary(source.shape)}, found ${data.byteLength}`,
        );
      }
      writeFully(descriptor, data);
    }
    fs.fsyncSync(descriptor);
    fs.closeSync(descriptor);
    descriptor = undefined;
    fs.renameSync(temporary, file);
  } catch (error) {
    if (descriptor !== undefined) fs.closeSync(descriptor);
    fs.rmSync(temporary, { force: true });
    throw new Error(`Cannot write ${file}: ${(error as Error).message}`, { cause: error });
  }
}

function layOut(sources: SafetensorsSource[], metadata: Readonly<Record<string, string>>) {
  const names = new Set(['__metadata__']);
  const sized = sources.map((source) => {
    const { name, dtype, shape } = source;
    if (names.has(name))
      throw new Error(`Expected tensor names once each and not __metadata__, found ${summary(name)}`);
    // Python, among others, refuses a JSON text with half a surrogate pair.
    if (/\p{Surrogate}/u.test(name)) throw new Error(`Expected a name of valid Unicode, found ${summary(name)}`);
    if (!isSafetensorsDtype(dtype)) {
      throw new Error(`Tensor ${summary(name)}: expected a dtype of safetensors, found ${summary(dtype)}`);
    }
    names.add(name);
    return { source, bytes: byteLengthOf(dtype, shape) };
  });
  // Wide items first: every tensor then starts at a multiple of its item size, which readers that map the file like.
  const ordered = [...sized].sort((a, b) => ITEM_SIZES[b.source.dtype] - ITEM_SIZES[a.source.dtype]);
  const offsets = new Map<string, string>();
  let end = 0;
  for (const { source, bytes } of ordered) {
    offsets.set(source.name, `[${end},${end + bytes}]`);
    end += bytes;
  }
  // Joined by hand: an object would move names that look like numbers to the front and swallow `__proto__`.
  const fields = sources.map(
    ({ name, dtype, shape }) =>
      `${JSON.stringify(name)}:{"dtype":"${dtype}","shape":[${shape.join(',')}],"data_offsets":${offsets.get(name)!}}`,
  );
  if (Object.keys(metadata).length > 0) fields.unshift(`"__metadata__":${JSON.stringify(metadata)}`);
  const json = Buffer.from(`{${fields.join(',')}}`);
  const padded = Math.ceil(json.length / 8) * 8;
  if (padded > MAX_HEADER) throw new Error(`Expected a header of at most ${MAX_HEADER} bytes, found ${padded}`);
  const header = Buffer.alloc(LENGTH_FIELD + padded, ' ');
  header.writeBigUInt64LE(BigInt(padded));
  json.copy(header, LENGTH_FIELD);
  return { header, ordered };
}

function writeFully(descriptor: number, data: Uint8Array): void {
  for (let done = 0; done < data.byteLength;) {
    done += fs.writeSync(descriptor, data, done, Math.min(CHUNK, data.byteLength - done));
  }
}
