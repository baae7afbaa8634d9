import { existsSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

import { fromTypedArray, Graphed, noGrad, setNumThreads, tidy, type Tensor } from '@aaunet/torch';
import { compile } from '@aaunet/torch/compile';
import { withoutInitialisation, type Layer } from '@aaunet/torch/nn';

import { chosenCheckpoint } from '../evaluation/evaluate.js';
import { buildModel } from '../models/registry.js';
import { checkpointPath, loadWeights } from '../training/checkpoint.js';
import { readModelFile, type ModelFile } from '../training/model-file.js';
import { sha256OfFile } from './file-hash.js';
import { inferencePrecision, mixedPrecision } from './segment.js';
import type { SliceNetwork, SliceNetworkOptions } from './slice-network.js';

/** A trained network in inference mode on the CPU, in float32; the caller disposes it. */
export interface TrainedNetwork {
  readonly file: ModelFile;
  readonly sha256: string;
  readonly network: Layer;
}

/** Loads a run folder, or a `.safetensors` file with its model.json beside it or in the folder above. */
export async function loadTrainedNetwork(model: string): Promise<TrainedNetwork> {
  const { folder, weights } = locate(model);
  const file = await readModelFile(folder);
  const sha256 = await sha256OfFile(weights);
  const network = withoutInitialisation(() => buildModel(file.model)).eval();
  try {
    loadWeights(weights, network);
  } catch (error) {
    network[Symbol.dispose]();
    throw error;
  }
  return { file, sha256, network };
}

/** A trained network run by LibTorch in its training's precision, as far as the device has it: compiled on the CPU, as it is elsewhere. */
export async function loadTorchNetwork(model: string, { device, threads }: SliceNetworkOptions): Promise<SliceNetwork> {
  if (threads !== undefined) setNumThreads(threads);
  const { file, sha256, network } = await loadTrainedNetwork(model);
  const { size } = file;
  const precision = inferencePrecision(device, file.precision);
  const loaded: Disposable & { forward(image: Tensor): Tensor } =
    device === 'cpu'
      ? compile(network, [3, size, size], { precision: precision === 'bf16' ? 'bfloat16' : 'float32' })
      : network.to({ device, memoryFormat: 'channels_last' });
  if (loaded !== network) network[Symbol.dispose]();
  const graphed = new Graphed(device, (image) => mixedPrecision(device, precision, () => loaded.forward(image)));
  const logitsOf = (image: Tensor): Tensor =>
    graphed.run(device === 'cpu' ? image : image.to({ device }).contiguous('channels_last'));
  return {
    file,
    sha256,
    run: (input, count) =>
      Promise.resolve(
        tidy(() =>
          noGrad(() =>
            logitsOf(fromTypedArray(input, [count, 3, size, size]))
              .to('float32')
              .cpu()
              .contiguous()
              .data('float32')
              .slice(),
          ),
        ),
      ),
    close: () => {
      graphed[Symbol.dispose]();
      loaded[Symbol.dispose]();
      return Promise.resolve();
    },
  };
}

/** The weights file of `model`, and the folder with its model.json. */
function locate(model: string): { folder: string; weights: string } {
  const found = statSync(model, { throwIfNoEntry: false });
  if (found?.isDirectory()) return { folder: model, weights: checkpointPath(model, chosenCheckpoint(model)) };
  if (found?.isFile() && model.endsWith('.safetensors')) return { folder: folderOfModelFile(model), weights: model };
  throw new Error(`Expected a network: a run folder, a .safetensors file of one or an .onnx file, found ${model}.`);
}

/** A run's weights lie in its checkpoints, one folder below its model.json. */
function folderOfModelFile(weights: string): string {
  const beside = dirname(weights);
  const folder = [beside, dirname(resolve(beside))].find((candidate) => existsSync(join(candidate, 'model.json')));
  if (folder !== undefined) return folder;
  throw new Error(
    `Expected the model.json of ${weights} beside it or in the folder above, found none: name the run folder, or copy its model.json beside the file.`,
  );
}
