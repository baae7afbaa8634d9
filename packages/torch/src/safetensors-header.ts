/** Bytes an element of each safetensors dtype. */
export const ITEM_SIZES = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  I64: 8,
  U64: 8,
  F64: 8,
} as const;

/** The dtypes of the safetensors format that this package reads and writes, by the format's own names. */
export type SafetensorsDtype = keyof typeof ITEM_SIZES;

/** One tensor of a safetensors file: `begin` and `end` are byte offsets from the start of the data, after the header. */
export interface SafetensorsEntry {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/** A validated header: tensors in the order of the header, and the free-text metadata. */
export interface SafetensorsHeader {
  readonly entries: ReadonlyMap<string, SafetensorsEntry>;
  readonly metadata: ReadonlyMap<string, string>;
}

const METADATA_KEY = '__metadata__';
/** More dimensions than any array library accepts. */
const MAX_DIMENSIONS = 64;

/**
 * Bytes of a contiguous tensor. Throws where a dimension is no non-negative safe integer, or the product overflows 2^53
 * even when zeros are counted as ones (strides of empty tensors overflow too).
 */
export function byteLengthOf(dtype: SafetensorsDtype, shape: readonly number[]): number {
  if (shape.length > MAX_DIMENSIONS) {
    throw new Error(`expected at most ${MAX_DIMENSIONS} dimensions, found ${shape.length}`);
  }
  let bytes: number = ITEM_SIZES[dtype];
  let extent = bytes;
  for (const size of shape) {
    if (!Number.isSafeInteger(size) || size < 0) {
      throw new Error(`expected a shape of non-negative integers, found ${summary(size)} in it`);
    }
    bytes *= size;
    extent *= Math.max(size, 1);
    if (!Number.isSafeInteger(extent)) throw new Error(`expected fewer than 2^53 bytes, found shape ${summary(shape)}`);
  }
  return bytes;
}

/** Whether a text names a dtype of `ITEM_SIZES`. */
export function isSafetensorsDtype(text: unknown): text is SafetensorsDtype {
  return typeof text === 'string' && Object.hasOwn(ITEM_SIZES, text);
}

/**
 * Reads and validates the JSON header of a safetensors file whose data section has `dataLength` bytes. Nothing that the
 * header claims is allocated. Throws one sentence (without the file's name) at the first thing that breaks the format:
 * unknown dtype, impossible shape, offsets that leave the file, overlap or leave a hole, repeated names.
 */
export function parseSafetensorsHeader(bytes: Uint8Array, dataLength: number): SafetensorsHeader {
  const text = decode(bytes);
  const names = scanNames(text);
  const raw = parseJson(text);

  const entries = new Map<string, SafetensorsEntry>();
  let metadata: ReadonlyMap<string, string> = new Map();
  for (const name of names) {
    if (name === METADATA_KEY) metadata = parseMetadata(raw[name]);
    else entries.set(name, parseEntry(name, raw[name], dataLength));
  }
  checkCoverage([...entries.values()], dataLength);
  return { entries, metadata };
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Error('expected a JSON header in UTF-8, found other bytes');
  }
}

function parseJson(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = text.startsWith('{') ? JSON.parse(text) : undefined;
  } catch {
    value = undefined;
  }
  if (!isObject(value)) throw new Error(`expected a JSON object as header, found ${summary(text.slice(0, 40))}`);
  return value;
}

/**
 * The keys of the outermost object, in the order of the text: JSON.parse would keep the last of several equal keys
 * silently, and would move keys that look like numbers. Refuses any nesting but `{name: {field: [...]}}`, which keeps
 * what JSON.parse then builds from a hostile header small. The text need not be valid JSON.
 */
function scanNames(text: string): string[] {
  const names = new Set<string>();
  let depth = 0;
  let string = '';
  for (let i = 0; i < text.length; i++) {
    const character = text[i]!;
    if (character === '"') {
      const begin = i++;
      while (i < text.length && text[i] !== '"') i += text[i] === '\\' ? 2 : 1;
      if (depth === 1) string = text.slice(begin, i + 1);
    } else if (character === '{' || character === '[') {
      if ((character === '[') !== (depth === 2)) {
        throw new Error(`expected a header of the form {name: {field: [...]}}, found another nesting at byte ${i}`);
      }
      depth += 1;
    } else if (character === '}' || character === ']') depth -= 1;
    else if (character === ':' && depth === 1) {
      const name = parseName(string);
      if (names.has(name)) throw new Error(`expected every tensor once, found ${summary(name)} twice`);
      names.add(name);
    }
  }
  return [...names];
}

function parseName(text: string): string {
  try {
    return JSON.parse(text) as string;
  } catch {
    throw new Error(`expected a tensor's name in quotation marks, found ${summary(text)}`);
  }
}

function parseMetadata(value: unknown): ReadonlyMap<string, string> {
  if (!isObject(value)) throw new Error(`expected ${METADATA_KEY} to be an object of texts, found ${summary(value)}`);
  const metadata = new Map<string, string>();
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') {
      throw new Error(`expected ${METADATA_KEY} to hold texts only, found ${summary(text)} under ${summary(key)}`);
    }
    metadata.set(key, text);
  }
  return metadata;
}

function parseEntry(name: string, value: unknown, dataLength: number): SafetensorsEntry {
  const where = `tensor ${summary(name)}: `;
  if (!isObject(value)) throw new Error(`${where}expected an object, found ${summary(value)}`);
  const { dtype, shape, data_offsets: offsets } = value;
  if (!isSafetensorsDtype(dtype)) {
    throw new Error(`${where}expected a dtype of ${Object.keys(ITEM_SIZES).join(', ')}, found ${summary(dtype)}`);
  }
  if (!isNumbers(shape)) throw new Error(`${where}expected a shape of numbers, found ${summary(shape)}`);
  const [begin, end] = isNumbers(offsets) && offsets.length === 2 ? offsets : [];
  if (!isOffset(begin) || !isOffset(end) || begin > end || end > dataLength) {
    throw new Error(
      `${where}expected data_offsets [begin, end] inside the file's ${dataLength} bytes of data, found ${summary(offsets)}`,
    );
  }
  let bytes: number;
  try {
    bytes = byteLengthOf(dtype, shape);
  } catch (error) {
    throw new Error(where + (error as Error).message, { cause: error });
  }
  if (bytes !== end - begin) {
    throw new Error(
      `${where}expected ${bytes} bytes for ${dtype} ${summary(shape)}, found data_offsets for ${end - begin}`,
    );
  }
  return { name, dtype, shape, begin, end };
}

function checkCoverage(entries: SafetensorsEntry[], dataLength: number): void {
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let covered = 0;
  for (const { name, begin, end } of entries) {
    if (begin !== covered) {
      const fault = begin < covered ? 'an overlap' : 'a hole';
      throw new Error(
        `expected tensors without gaps, found ${fault} before ${summary(name)} (byte ${begin} of the data)`,
      );
    }
    covered = end;
  }
  if (covered !== dataLength) {
    throw new Error(`expected ${covered} bytes of data as the header says, found ${dataLength} in the file`);
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isNumbers(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'number');
}

function isOffset(value: number | undefined): value is number {
  return Number.isSafeInteger(value) && value! >= 0;
}

/** A value out of the file as it may appear in a message: short, and without control characters. */
export function summary(value: unknown): string {
  const text = value === undefined ? 'nothing' : JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
