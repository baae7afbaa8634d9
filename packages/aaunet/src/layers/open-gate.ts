import { noGrad, type Tensor } from '@aaunet/torch';

const NEARLY_OPEN = 2;

/**
 * Sets the bias of what a gate's sigmoid takes, so that a new network lets 0.88 of everything pass and learns what to hold back. At 0 it
 * halves all features at random, and the decoder of few channels learns no lesion within the first hundreds of steps.
 */
export function startOpen(bias: Tensor): void {
  noGrad(() => {
    bias.fill_(NEARLY_OPEN);
  });
}
