import { dirname, join } from 'node:path';

import { fromTypedArray, grad, loadStateFile, noGrad, tidy, type Tensor } from '@aaunet/torch';
import type { Layer } from '@aaunet/torch/nn';

import { buildModel } from '../models/registry.js';
import { fill, uniform, type Fixture, type Samples } from './fixture.js';

/** Allowed differences as a part of the reference's largest value. */
const TOLERANCE = { eval: 1e-5, eval64: 1e-10, train: 1e-8, loss: 1e-8, grad: 1e-7 } as const;

/** A gradient that is zero but for rounding has no scale of its own. */
const ZERO_GRADIENT = { below: 1e-12, allowed: 1e-10 } as const;

export interface ParityResult {
  /** Largest difference over its tolerance: at most 1 is parity. */
  worst: number;
  /** Which figure that was. */
  where: string;
  /** Difference over tolerance of every figure. */
  ratios: Record<string, number>;
}

/**
 * Runs a registry network as the fixture prescribes, channels last as in training, and compares every figure.
 *
 * @throws when the network's state dict is not the fixture's, by names, order or shapes.
 */
export function compareWithFixture(fixture: Fixture, path: string): ParityResult {
  const [, inChannels = 3] = fixture.input;
  using network = buildModel(fixture.model, { inChannels, classes: fixture.classes });
  checkState(network, fixture);
  const ratios: Record<string, number> = {};
  const count = fixture.input.reduce((product, size) => product * size, 1);
  const image = uniform(fixture.seed, count).map((u) => 2 * u - 1);
  tidy(() => {
    setWeights(network, fixture, path);
    network.eval();
    const input = fromTypedArray(image, fixture.input);
    ratios['eval'] = ratio(
      noGrad(() => network.forward(input.to('float32').contiguous('channels_last'))),
      fixture.eval,
      TOLERANCE.eval,
    );
    network.to({ dtype: 'float64' });
    // From the formula again, unrounded; the weights of a file are float32 already.
    setWeights(network, fixture, path);
    ratios['eval64'] = ratio(
      noGrad(() => network.forward(input.contiguous('channels_last'))),
      fixture.eval64,
      TOLERANCE.eval64,
    );
    Object.assign(ratios, trainRatios(network.train(), input, fixture));
  });
  const [where, worst] = Object.entries(ratios).reduce((a, b) => (b[1] > a[1] || Number.isNaN(b[1]) ? b : a));
  return { worst, where, ratios };
}

function trainRatios(network: Layer, input: Tensor, fixture: Fixture): Record<string, number> {
  const output = network.forward(input.contiguous('channels_last'));
  const weighting = fromTypedArray(
    uniform(fixture.seed + 1, output.numel).map((u) => 2 * u - 1),
    output.shape,
  );
  const loss = output.mul(weighting).mean();
  const ratios: Record<string, number> = {
    train: ratio(output, fixture.train, TOLERANCE.train),
    loss: Math.abs(Number(loss.item()) - fixture.train.loss) / (TOLERANCE.loss * Math.abs(fixture.train.loss)),
  };
  const parameters = network.namedParameters();
  const names = Object.keys(fixture.grad);
  const wanted = names.map((name) => {
    const parameter = parameters.get(name);
    if (!parameter) throw new Error(`The fixture has a gradient of ${name}, which ${fixture.model} does not have.`);
    return parameter;
  });
  for (const [index, gradient] of grad([loss], wanted).entries()) {
    const name = names[index]!;
    ratios[`grad ${name}`] = ratio(gradient!, fixture.grad[name]!, TOLERANCE.grad, ZERO_GRADIENT);
  }
  return ratios;
}

/** Names, shapes and order: the order is PyTorch's, in which optimisers and exporters number parameters. */
export function checkState(network: Layer, fixture: Pick<Fixture, 'model' | 'state'>): void {
  const own = [...network.stateDict()].map(([name, tensor]) => `${name} [${tensor.shape.join(', ')}]`);
  const expected = fixture.state.map(([name, shape]) => `${name} [${shape.join(', ')}]`);
  const ownEntries = new Set(own);
  const lacking = expected.find((entry) => !ownEntries.has(entry));
  if (lacking ?? own.length !== expected.length)
    throw new Error(
      `The state dict of ${fixture.model} has ${own.length} entries, the fixture ${expected.length}` +
        (lacking ? `; ${lacking} is missing or has another shape.` : '.'),
    );
  const moved = expected.findIndex((entry, index) => entry !== own[index]);
  if (moved >= 0)
    throw new Error(
      `The state dict of ${fixture.model} has another order than the fixture: expected ${expected[moved]!} at place ${moved}, found ${own[moved]!}.`,
    );
}

function setWeights(network: Layer, fixture: Fixture, path: string): void {
  if (fixture.weights !== undefined) {
    network.loadStateDict(loadStateFile(join(dirname(path), fixture.weights)));
    return;
  }
  const values = fixture.state.map(([name, shape]) => [name, fromTypedArray(fill(name, shape), shape)] as const);
  network.loadStateDict(new Map(values));
}

function ratio(found: Tensor, expected: Samples, tolerance: number, zero?: { below: number; allowed: number }): number {
  if (String(found.shape) !== String(expected.shape))
    throw new Error(`Expected an output of shape [${expected.shape.join(', ')}], got [${found.shape.join(', ')}].`);
  const values = found.detach().to('float64').contiguous().data('float64');
  const allowed = zero && expected.absmax < zero.below ? zero.allowed : tolerance * expected.absmax;
  let worst = 0;
  for (const [i, index] of expected.index.entries()) {
    const difference = Math.abs(values[index]! - expected.value[i]!);
    if (Number.isNaN(difference)) return NaN;
    worst = Math.max(worst, difference / allowed);
  }
  return worst;
}
