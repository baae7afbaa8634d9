import { Graphed, keep, type Tensor } from '@aaunet/torch';

/**
 * Forward, loss and backward of a batch. On a CUDA device they are recorded as a graph after some batches; its replay puts new gradients
 * in the place of old ones instead of adding to them, so that it serves steps of one pass, by one process.
 */
export class GradientPass implements Disposable {
  private readonly graphed: Graphed;
  private gradients: (Tensor | null)[] = [];

  /** @param compute runs backward and returns the loss */
  constructor(parameters: readonly Tensor[], device: string, compute: (input: Tensor, target: Tensor) => Tensor) {
    this.graphed = new Graphed(device, compute, {
      beforeRecording: () => {
        for (const parameter of parameters) parameter.grad = null;
      },
      afterRecording: () => {
        for (const gradient of this.gradients) gradient?.dispose();
        this.gradients = parameters.map(({ grad }) => grad && keep(grad));
      },
      afterReplay: () => {
        for (const [i, parameter] of parameters.entries()) parameter.grad = this.gradients[i]!;
      },
    });
  }

  /** The loss; gradients are in the parameters' `grad`. */
  run(input: Tensor, target: Tensor): Tensor {
    return this.graphed.run(input, target);
  }

  [Symbol.dispose](): void {
    for (const gradient of this.gradients) gradient?.dispose();
    this.graphed[Symbol.dispose]();
  }
}
