import { tidy, type Tensor } from '@aaunet/torch';
import { clipGradNorm, type AdamW } from '@aaunet/torch/optim';

import { mixedPrecision, trainingPrecision } from '../inference/segment.js';
import type { Criterion } from '../losses/partial-focal.js';
import { augment } from '../transforms/augment.js';
import { windowed } from '../transforms/window.js';
import type { RawBatch } from '../datasets/loader.js';
import type { TrainConfig } from './config.js';
import { GradientPass } from './gradient-pass.js';
import type { BatchPart } from './plan.js';
import type { TeamNetwork } from './team.js';

/** What all passes of a training share. */
export interface StepContext {
  readonly network: TeamNetwork;
  readonly optimizer: AdamW;
  readonly config: TrainConfig;
  /** Forward, loss and backward. */
  readonly pass: GradientPass;
}

/** The pass of a training: over a whole batch, or over parts of it. */
export function gradientPass(network: TeamNetwork, criterion: Criterion, config: TrainConfig): GradientPass {
  const { device, accumulate, batch } = config;
  const precision = trainingPrecision(device, config.precision);
  const isWhole = accumulate === 1 && network.team.size === 1;
  return new GradientPass(network.parameters(), isWhole ? device : 'cpu', (input, target) => {
    const logits = mixedPrecision(device, precision, () => network.forward(input));
    const loss = criterion.of(logits, target);
    // A part counts as many slices as it has; gradients are averaged over the processes, not summed.
    const factor = (input.size(0) / batch) * network.team.size;
    network.backward(factor === 1 ? loss : loss.mul(factor));
    return loss;
  });
}

/**
 * One pass over a part of a batch: window, augmentation, forward, loss, backward. The loss is the mean over the whole batch's
 * pixels: a part adds as much as it has slices.
 *
 * @returns what the part adds to the batch's loss.
 */
export function trainPart(
  { network, pass, config }: StepContext,
  raw: RawBatch,
  part: BatchPart,
  step: number,
): number {
  const { device, precision, batch } = config;
  return tidy(() => {
    const scaled = windowed(raw.hu.to({ device }), config.window);
    const { image, target } = augment(
      precision === 'fp64' ? scaled.to('float64') : scaled,
      raw.labels.to({ device }),
      config.augmentation,
      `augment ${config.seed} ${step}`,
      { first: part.first, of: batch },
    );
    const input = image.contiguous('channels_last');
    const share = part.slices.length / batch;
    const run = (): Tensor => pass.run(input, target);
    const loss = part.isLast ? run() : network.withoutReduction(run);
    return share === 1 ? Number(loss.item()) : Number(loss.item()) * share;
  });
}

/** Ends a step after its last pass: all processes' loss, the joint gradient's norm and clipping, and the move. */
export function finishStep(
  { network, optimizer, config }: StepContext,
  partialLoss: number,
  learningRate: number,
): { loss: number; gradientNorm: number } {
  const [loss = NaN] = network.team.sum([partialLoss]);
  const gradientNorm = tidy(() => Number(clipGradNorm(network.parameters(), config.clipNorm ?? Infinity).item()));
  if (Number.isFinite(loss) && Number.isFinite(gradientNorm)) optimizer.step(learningRate);
  optimizer.zeroGrad();
  return { loss, gradientNorm };
}
