import { cat, loadStateFile, noGrad, tidy, type Tensor } from '@aaunet/torch';
import type { Layer } from '@aaunet/torch/nn';

export interface WeightsReport {
  /** Tensors of the network that the file gave, of those it was asked for. */
  loaded: number;
  total: number;
  /** True where the file holds an encoder: then only the network's encoder was asked for. */
  encoderOnly: boolean;
  /** Convolutions of the image that were made for another number of channels. */
  adapted: string[];
  missing: string[];
  unexpected: string[];
  /** `key: expected [2, 3], found [4]`. */
  mismatched: string[];
}

/** What wrappers such as DataParallel put before every name. */
const WRAPPER_PREFIXES = ['', 'module.', 'model.', 'module.model.'] as const;
/** Parts of ImageNet classifiers behind the features: of no use here. */
const CLASSIFIER = /^(fc|classifier|head|last_linear|final_layer|incre_modules|downsamp_modules)\./;
/** DenseNet layers as torchvision's first checkpoints name them: `denselayer1.norm.1` is `denselayer1.norm1`. */
const OLD_DENSE_LAYER = /(denselayer\d+\.(?:norm|conv))\.([12])\./;

/**
 * Loads weights by name from a `.safetensors`, `.pth` or `.pt` file: those of the whole network, or those of its encoder as
 * timm and torchvision publish them, whose classifier is left out. Convolutions of the image take another number of channels
 * as in timm: summed for one channel, else repeated and scaled.
 *
 * @throws in one sentence when the file cannot be read or nothing in it fits.
 */
export function loadWeights(network: Layer, path: string): WeightsReport {
  return tidy(() => {
    const own = network.stateDict();
    const source = loadStateFile(path);
    const { state, prefix } = named(source, own);
    const adapted = adaptImageConvolutions(state, own);
    const report = network.loadStateDict(state, { strict: false });
    const encoderOnly = prefix !== '';
    const missing = report.missing.filter(
      // Files without this count of batches are common, and nothing depends on it.
      (name) => name.startsWith(prefix) && !name.endsWith('.num_batches_tracked'),
    );
    const total = [...own.keys()].filter((name) => name.startsWith(prefix)).length;
    const loaded = own.size - report.missing.length - report.mismatched.length;
    if (loaded === 0)
      throw new Error(
        `${path} has no weight that fits this network: expected names such as ${firstOf(own.keys())}, found ${firstOf(source.keys())}.`,
      );
    const unexpected = report.unexpected.filter((name) => !CLASSIFIER.test(name.slice(prefix.length)));
    return { loaded, total, encoderOnly, adapted, missing, unexpected, mismatched: report.mismatched };
  });
}

/** What was loaded, in a line; what did not fit, in a line each of missing, unexpected and shape. */
export function describeWeights(path: string, report: WeightsReport): string {
  const { loaded, total, encoderOnly, adapted } = report;
  const lines = [
    `Loaded ${loaded} of ${total} tensors${encoderOnly ? ' of the encoder' : ''} from ${path}.`,
    ...[
      ['adapted', adapted] as const,
      ['missing', report.missing] as const,
      ['unexpected', report.unexpected] as const,
      ['shape', report.mismatched] as const,
    ]
      .filter(([, names]) => names.length > 0)
      .map(([kind, names]) => {
        const some = names.slice(0, 3).join('; ') + (names.length > 3 ? '; …' : '');
        return `  ${kind.padEnd(10)} ${String(names.length).padStart(4)}  ${some}`;
      }),
  ];
  return lines.join('\n');
}

/** The tensors under the network's names: of all ways to read the file's names, the one under which most fit. */
function named(
  source: ReadonlyMap<string, Tensor>,
  own: ReadonlyMap<string, Tensor>,
): { state: Map<string, Tensor>; prefix: string } {
  const readings = WRAPPER_PREFIXES.flatMap((wrapper) =>
    ['', 'encoder.'].map((prefix) => {
      const state = new Map<string, Tensor>();
      for (const [name, tensor] of source) {
        const bare = name.startsWith(wrapper) ? name.slice(wrapper.length) : name;
        state.set(prefix + bare.replace(OLD_DENSE_LAYER, '$1$2.'), tensor);
      }
      return { state, prefix, fitting: [...state.keys()].filter((name) => own.has(name)).length };
    }),
  );
  return readings.reduce((best, reading) => (reading.fitting > best.fitting ? reading : best));
}

/** Replaces convolutions that see the image and differ in its channels alone; returns what was replaced. */
function adaptImageConvolutions(state: Map<string, Tensor>, own: ReadonlyMap<string, Tensor>): string[] {
  const first = firstOf(own.keys());
  const before = state.get(first)?.shape[1];
  const after = own.get(first)!.shape[1]!;
  // As in timm: other checkpoints than of three channels are fitted to one channel only.
  if (before === undefined || before === after || (before !== 3 && after !== 1)) return [];
  const adapted: string[] = [];
  for (const [name, tensor] of state) {
    const wanted = own.get(name)?.shape;
    const differsInChannels =
      wanted?.length === 4 &&
      tensor.shape.length === 4 &&
      tensor.shape[1] === before &&
      wanted[1] === after &&
      [0, 2, 3].every((dim) => tensor.shape[dim] === wanted[dim]);
    if (!differsInChannels) continue;
    state.set(
      name,
      noGrad(() => withChannels(tensor, after)),
    );
    adapted.push(`${name}: ${before} to ${after} channels`);
  }
  return adapted;
}

/** out x 3 x K x K to out x `channels` x K x K with the same response to an image whose channels are all alike. */
function withChannels(weight: Tensor, channels: number): Tensor {
  if (channels === 1) return weight.sum([1], true);
  const before = weight.size(1);
  const copies = Array.from({ length: Math.ceil(channels / before) }, () => weight);
  return cat(copies, 1)
    .narrow(1, 0, channels)
    .mul(before / channels);
}

function firstOf(names: Iterable<string>): string {
  const [first = ''] = names;
  return first;
}
