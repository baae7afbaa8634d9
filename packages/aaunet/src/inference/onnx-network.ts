import { readFile, stat } from 'node:fs/promises';
import { createHash } from 'node:crypto';

import { CLASS_COUNT } from '@aaunet/imaging';

import { readExportedModel, type ExportedModel } from '../export/exported-model.js';
import { InferenceSession, Tensor } from './onnx-runtime.js';
import type { SliceNetwork, SliceNetworkOptions } from './slice-network.js';

/** Larger ones are no protocol buffers. */
const LARGEST_FILE = 2 ** 31;

/** An exported network with what it says of itself. */
export interface OnnxNetwork extends SliceNetwork {
  readonly exported: ExportedModel;
}

/**
 * A network that `aaunet export` wrote, run by ONNX Runtime on the CPU; LibTorch is not needed.
 *
 * @throws Error of one sentence if the file is damaged, of another program, or too large.
 */
export async function loadOnnxNetwork(
  path: string,
  { threads, device = 'cpu' }: Partial<SliceNetworkOptions> = {},
): Promise<OnnxNetwork> {
  if (device !== 'cpu') {
    throw new Error(
      `Expected device cpu for an .onnx file, which ONNX Runtime computes on the CPU, found ${device} for ${path}: leave --device out, or give the run folder as --model.`,
    );
  }
  const found = await stat(path).catch((error: unknown) => {
    throw new Error(`Expected an .onnx file at ${path}, found nothing there.`, { cause: error });
  });
  if (!found.isFile()) throw new Error(`Expected an .onnx file at ${path}, found a folder or a device there.`);
  const { size: length } = found;
  if (length >= LARGEST_FILE) throw new Error(`Expected an ONNX file below 2 GB, found ${length} bytes: ${path}.`);
  return openOnnxNetwork(await readFile(path), path, threads);
}

/** The same from the file's bytes. @param path what errors call it */
export async function openOnnxNetwork(bytes: Uint8Array, path: string, threads?: number): Promise<OnnxNetwork> {
  const exported = readExportedModel(bytes, path);
  const session = await InferenceSession.create(bytes, {
    graphOptimizationLevel: 'all',
    logSeverityLevel: 4,
    ...(threads !== undefined && { intraOpNumThreads: threads }),
  }).catch((error: unknown) => {
    throw new Error(`Expected a network that ONNX Runtime reads, found a damaged one in ${path}; export it again.`, {
      cause: error,
    });
  });
  const { size } = exported;
  const fixedBatch = batchOf(session, size, path);
  return {
    file: exported,
    exported,
    sha256: createHash('sha256').update(bytes).digest('hex'),
    run: async (input, count) => {
      const each = fixedBatch ?? count;
      const logits = new Float32Array(count * CLASS_COUNT * size ** 2);
      for (let start = 0; start < count; start += each) {
        const part = new Float32Array(each * 3 * size ** 2);
        part.set(input.subarray(start * 3 * size ** 2, (start + each) * 3 * size ** 2));
        const { logits: found } = await session.run({ image: new Tensor('float32', part, [each, 3, size, size]) });
        const values = (await found!.getData()) as Float32Array;
        const wanted = Math.min(each, count - start) * CLASS_COUNT * size ** 2;
        logits.set(values.subarray(0, wanted), start * CLASS_COUNT * size ** 2);
      }
      return logits;
    },
    close: () => session.release(),
  };
}

/** The batch that the network insists on, if it does. @throws Error if its input or output is another than an export has. */
function batchOf(session: InferenceSession, size: number, path: string): number | undefined {
  const [input] = session.inputMetadata;
  const [output] = session.outputMetadata;
  const fits =
    input?.isTensor === true &&
    output?.isTensor === true &&
    input.name === 'image' &&
    output.name === 'logits' &&
    input.shape.slice(1).join() === [3, size, size].join() &&
    output.shape.slice(1).join() === [CLASS_COUNT, size, size].join();
  if (!fits) {
    throw new Error(
      `Expected a network from 3 x ${size} x ${size} to ${CLASS_COUNT} x ${size} x ${size}, found another in ${path}; export the run again.`,
    );
  }
  const batch = input.shape[0];
  return typeof batch === 'number' && batch > 0 ? batch : undefined;
}
