import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import { noGrad, tidy, zeros, type Tensor } from '@aaunet/torch';
import { convolutionInputs, foldBatchNorms, stepsOf, trace, type Convolution } from '@aaunet/torch/compile';

import { replaceFile } from '../atomic.js';
import { loadOnnxNetwork, openOnnxNetwork } from '../inference/onnx-network.js';
import { loadTrainedNetwork, type TrainedNetwork } from '../inference/torch-network.js';
import { withRunData } from '../training/run-data.js';
import { readRunConfig } from '../training/run-folder.js';
import { SOFTWARE, VERSION } from '../version.js';
import { checkAgreement, checkDice, compareWithLibTorch, type Agreement, type RoundedDice } from './agreement.js';
import { calibrate } from './calibrate.js';
import { calibrationImages, measureDice } from './eight-bits.js';
import { METADATA_KEY, type ExportedModel, type ExportPrecision } from './exported-model.js';
import { encodeOnnx } from './onnx-file.js';
import { GraphBuilder, type RoundedConvolution } from './onnx-graph.js';
import { byteLength, type Message } from './protobuf.js';
import { realSlices } from './real-slices.js';

export interface ExportOptions {
  /** The file, which ends in .onnx. */
  readonly out: string;
  readonly precision?: ExportPrecision | undefined;
  /** Slices at a time that the file insists on; any number where absent. */
  readonly batch?: number | undefined;
  readonly onProgress?: ((what: string, done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ExportResult {
  readonly out: string;
  readonly bytes: number;
  readonly precision: ExportPrecision;
  /** How the file in ONNX Runtime computes beside LibTorch on real slices. */
  readonly agreement: Agreement;
  /** Mean Dice of the validation cases; of int8 only. */
  readonly dice?: RoundedDice | undefined;
  /** What the user should know, a sentence each. */
  readonly warnings: readonly string[];
}

/**
 * Writes a trained network as an ONNX file with input `image` (N x 3 x S x S, float32, as imaging's `windowToInput`) and
 * output `logits` (N x 8 x S x S, float32). What `aaunet predict` and the viewer need to know stands in its metadata.
 * ONNX Runtime runs the file on real slices and is compared with LibTorch before it gets its name (`TOLERANCE`, `DICE_LOSS`).
 *
 * @param run a run folder, or a `.safetensors` file with its model.json
 * @throws Error if the file does not compute what the network does, or the data to calibrate on are gone; nothing is written
 */
export async function exportModel(run: string, options: ExportOptions): Promise<ExportResult> {
  const { out, precision = 'fp32' } = options;
  // By its ending the file is told apart from other networks.
  if (!out.endsWith('.onnx')) throw new Error(`Expected a file to write that ends in .onnx, found ${out}.`);
  const trained = await loadTrainedNetwork(run);
  using network = trained.network;
  const { size } = trained.file;
  // In the format that the fused operators take: they say in one step what a graph needs to know.
  using blank = tidy(() => zeros([1, 3, size, size]).contiguous('channels_last'));
  using traced = noGrad(() => trace((image) => network.forward(image), [blank]));
  const own: Tensor[] = [];
  try {
    const steps = noGrad(() =>
      foldBatchNorms(stepsOf(traced), traced.outputs, (tensor) => {
        own.push(tensor);
        return tensor;
      }),
    );
    const encode = (
      about: ExportedModel['export'],
      quantized?: ReadonlyMap<Convolution, RoundedConvolution>,
    ): Message => {
      const type = precision === 'fp16' ? 'float16' : 'float32';
      const builder = new GraphBuilder({ type, quantized, batch: options.batch });
      const graph = builder.build(trained.file.model, steps, traced.inputs[0]!, traced.outputs[0]!);
      const description: ExportedModel = { ...trained.file, sha256: trained.sha256, export: about };
      return encodeOnnx(graph, {
        producer: 'aaunet',
        version: VERSION,
        description: describe(trained),
        metadata: { [METADATA_KEY]: JSON.stringify(description) },
      });
    };
    const about = { precision, software: SOFTWARE };
    if (precision === 'int8') {
      const warnings: string[] = [];
      const onWarning = (text: string): void => void warnings.push(text);
      const config = await readRunConfig(run);
      return await withRunData(run, config, { onWarning, signal: options.signal }, async (data) => {
        const convolutions = convolutionInputs(traced);
        const ranges = await calibrate(
          network,
          { steps, convolutionInputs: convolutions },
          calibrationImages(data, trained, options),
        );
        // Encoded twice: its own Dice stands in it.
        const onnx = await openOnnxNetwork(Buffer.concat(encode(about, ranges)), options.out);
        const dice = await measureDice(onnx, trained, data, options).finally(() => onnx.close());
        return save(encode({ ...about, dice }, ranges), run, trained, options, { dice, warnings });
      });
    }
    return await save(encode(about), run, trained, options);
  } finally {
    for (const tensor of own) tensor.dispose();
  }
}

function describe({ file }: TrainedNetwork): string {
  const taught = `Outlines ${file.annotated.join(', ')} on head CT; three consecutive slices in, logits of the middle one out.`;
  return `${taught}${file.synthetic ? ' Trained on synthetic images.' : ''} Research use only.`;
}

async function save(
  file: Message,
  run: string,
  trained: TrainedNetwork,
  { out, precision = 'fp32', batch, signal }: ExportOptions,
  { dice, warnings = [] }: Partial<Pick<ExportResult, 'dice' | 'warnings'>> = {},
): Promise<ExportResult> {
  const warning = dice && checkDice(dice);
  const slices = await realSlices(run, trained.file);
  let agreement: Agreement | undefined;
  await replaceFile(out, async (path) => {
    await pipeline(Readable.from(file), createWriteStream(path), { signal }).catch((error: unknown) => {
      signal?.throwIfAborted();
      throw error;
    });
    const onnx = await loadOnnxNetwork(path);
    agreement = await compareWithLibTorch(onnx, trained, slices, batch ?? 2).finally(() => onnx.close());
    checkAgreement(agreement, precision);
    signal?.throwIfAborted();
  });
  const all = warning === undefined ? warnings : [...warnings, warning];
  return { out, bytes: byteLength(file), precision, agreement: agreement!, dice, warnings: all };
}
