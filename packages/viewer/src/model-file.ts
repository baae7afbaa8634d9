import {
  CLASS_COUNT,
  LABELS,
  labelTableFault,
  SQUARE_FITS,
  type HuWindow,
  type LabelName,
  type SquareFit,
} from '@aaunet/imaging';

/** What an exported network says of itself. */
export interface ModelInfo {
  readonly name: string;
  /** Types that its training data mark. */
  readonly annotated: readonly LabelName[];
  /** Numbers of the types that it was not taught. */
  readonly unmarked: readonly number[];
  readonly window: HuWindow;
  /** Rows and columns of its input. */
  readonly size: number;
  /** How slices that are not square came into that size in training. */
  readonly fit: SquareFit;
  readonly synthetic: boolean;
  /** Whether the HU it was trained on were computed from pictures of a display window. */
  readonly approximateHu: boolean;
  readonly sha256: string;
  readonly precision: string;
}

const METADATA_FIELD = 14;

/** Metadata of an ONNX file (ModelProto.metadata_props), read past the network itself. */
export function onnxMetadata(bytes: Uint8Array): Map<string, string> {
  const found = new Map<string, string>();
  for (const { field, value } of fieldsOf(bytes)) {
    if (field !== METADATA_FIELD) continue;
    const [key, text] = [1, 2].map((wanted) => {
      const part = [...fieldsOf(value)].find((candidate) => candidate.field === wanted);
      return new TextDecoder().decode(part?.value ?? new Uint8Array());
    });
    found.set(key!, text!);
  }
  return found;
}

const notOnnx = (): Error =>
  new Error('Expected an ONNX file, found something else or a damaged one: export the run again.');

/** The fields of a protobuf message that have bytes; the others are passed over. */
function* fieldsOf(bytes: Uint8Array): Generator<{ field: number; value: Uint8Array }> {
  let at = 0;
  const varint = (): number => {
    let [value, factor] = [0, 1];
    for (;;) {
      const byte = bytes[at++];
      if (byte === undefined || factor > 2 ** 63) throw notOnnx();
      value += (byte & 127) * factor;
      factor *= 128;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const kind = tag % 8;
    if (kind === 0) varint();
    else if (kind === 1) at += 8;
    else if (kind === 5) at += 4;
    else if (kind === 2) {
      const length = varint();
      if (at + length > bytes.length) throw notOnnx();
      yield { field: Math.floor(tag / 8), value: bytes.subarray(at, at + length) };
      at += length;
    } else throw notOnnx();
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

/** Reads what `aaunet export` wrote into an ONNX file. @throws Error of one sentence for another file. */
export function readModelInfo(bytes: Uint8Array): ModelInfo {
  const text = onnxMetadata(bytes).get('aaunet');
  if (text === undefined) {
    throw new Error('Expected an ONNX file of "aaunet export", found one without its metadata: export the run again.');
  }
  const file: unknown = JSON.parse(text);
  const window = isRecord(file) ? file['window'] : undefined;
  if (!isRecord(file) || !isRecord(window)) throw notOnnx();
  const labels = file['labels'];
  const fault = labelTableFault(isRecord(labels) ? labels : {});
  if (fault !== undefined) throw new Error(`The labels of the model are not those of this page: ${fault}.`);
  const { size, annotated, untyped } = file as { size?: unknown; annotated?: unknown; untyped?: unknown };
  const { center, width } = window as { center?: unknown; width?: unknown };
  if (typeof center !== 'number' || typeof width !== 'number' || !Array.isArray(annotated)) throw notOnnx();
  if (!Number.isInteger(size) || Number(size) < 32 || Number(size) > 4096 || Number(size) % 32 !== 0) throw notOnnx();
  // Files of versions that could only stretch do not say so.
  const fit = SQUARE_FITS.find((known) => known === (file['fit'] ?? 'stretch'));
  if (fit === undefined) {
    throw new Error(
      `Expected a model of slices that are ${SQUARE_FITS.join(' or ')}: use a newer version of this page.`,
    );
  }
  const taught = [...(annotated as unknown[]), ...(Array.isArray(untyped) ? (untyped as unknown[]) : [])];
  const exported = isRecord(file['export']) ? file['export'] : {};
  return {
    name: String(file['model']),
    annotated: LABELS.filter(({ name }) => annotated.includes(name)).map(({ name }) => name),
    unmarked: LABELS.filter(({ name }) => !taught.includes(name)).map(({ id }) => id),
    window: { center, width },
    size: Number(size),
    fit,
    synthetic: file['synthetic'] !== false,
    approximateHu: file['approximateHu'] === true,
    sha256: typeof file['sha256'] === 'string' ? file['sha256'] : 'unknown',
    precision: typeof exported['precision'] === 'string' ? exported['precision'] : 'fp32',
  };
}

/** Classes of a network's output. */
export const CLASSES = CLASS_COUNT;
