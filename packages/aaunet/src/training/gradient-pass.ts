import { Graphed, keep, type LeftBeside, type Tensor } from '@aaunet/torch';

/**
 * Forward, loss and backward of a batch. On a CUDA device they are recorded as a graph after some batches; its replay puts new gradients
 * in the place of old ones instead of adding to them, so that it serves steps of one pass, by one process.
 */
export class GradientPass implements Disposable {
  private readonly graphed: Graphed;

  /** @param compute runs backward and returns the loss */
  constructor(parameters: readonly Tensor[], device: string, compute: (input: Tensor, target: Tensor) => Tensor) {
    this.graphed = new Graphed(device, compute, {
      beforeRecording: () => {
        for (const parameter of parameters) parameter.grad = null;
      },
      afterRecording: () => new Gradients(parameters),
    });
  }

  /** The loss; gradients are in the parameters' `grad`. */
  run(input: Tensor, target: Tensor): Tensor {
    return this.graphed.run(input, target);
  }

  [Symbol.dispose](): void {
    this.graphed[Symbol.dispose]();
  }
}

/** The parameters' gradients as they are now. */
class Gradients implements LeftBeside {
  private readonly own: readonly (Tensor | null)[];

  constructor(private readonly parameters: readonly Tensor[]) {
    this.own = parameters.map(({ grad }) => grad && keep(grad));
  }

  restore(): void {
    for (const [i, parameter] of this.parameters.entries()) parameter.grad = this.own[i]!;
  }

  [Symbol.dispose](): void {
    for (const gradient of this.own) gradient?.dispose();
  }
}
