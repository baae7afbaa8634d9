import { z } from 'zod';

import { modelFileSchema } from '../training/model-file.js';
import { parseWith } from '../schema-errors.js';
import { delimitedFields } from './protobuf.js';

/** Under which key of an ONNX file's metadata the model's description stands. */
export const METADATA_KEY = 'aaunet';

export const EXPORT_PRECISIONS = ['fp32', 'fp16', 'int8'] as const;
export type ExportPrecision = (typeof EXPORT_PRECISIONS)[number];

/** What an exported network says of itself: model.json, and how it was made. */
export const exportedModelSchema = modelFileSchema.extend({
  /** Of the weights that were exported. */
  sha256: z.string(),
  export: z.strictObject({
    precision: z.enum(EXPORT_PRECISIONS),
    software: z.string(),
    /** Mean Dice on the validation cases before and after rounding to 8 bits. */
    dice: z.strictObject({ fp32: z.number().nullable(), int8: z.number().nullable(), slices: z.int() }).optional(),
  }),
});

export type ExportedModel = z.output<typeof exportedModelSchema>;

const METADATA_FIELD = 14;

/**
 * The description in an ONNX file.
 *
 * @throws Error of one sentence if the bytes are no ONNX file or one that `aaunet export` did not write.
 */
export function readExportedModel(bytes: Uint8Array, path: string): ExportedModel {
  const text = metadataOf(bytes, path).get(METADATA_KEY);
  if (text === undefined) {
    throw new Error(`Expected an ONNX file that 'aaunet export' wrote, found one without its description: ${path}.`);
  }
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    content = undefined;
  }
  return parseWith(exportedModelSchema, content, `The description of the model in ${path}`);
}

function metadataOf(bytes: Uint8Array, path: string): Map<string, string> {
  const decoder = new TextDecoder();
  const found = new Map<string, string>();
  try {
    for (const { field, value } of delimitedFields(bytes)) {
      if (field !== METADATA_FIELD) continue;
      const parts = new Map([...delimitedFields(value)].map((part) => [part.field, decoder.decode(part.value)]));
      found.set(parts.get(1) ?? '', parts.get(2) ?? '');
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new Error(`Expected an ONNX file, found something else or a damaged file: ${path}.`, { cause: error });
  }
  return found;
}
