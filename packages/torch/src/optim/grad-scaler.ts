import { noGrad } from '../autograd.js';
import { aten } from '../operators.js';
import { keep, tidy } from '../scope.js';
import { full, zeros } from '../create.js';
import type { Tensor } from '../tensor.js';

/**
 * Keeps float16 gradients from underflowing: the loss is scaled up, gradients are scaled down again before the step, and
 * a step with an infinity or NaN among its gradients is skipped and halves the scale (Micikevicius et al. 2018,
 * arXiv:1710.03740). bfloat16 has float32's range and needs none.
 */
export class GradScaler implements Disposable {
  private readonly scale_: Tensor;
  private readonly growthTracker: Tensor;

  constructor(
    private readonly options: {
      device?: string;
      initial?: number;
      growth?: number;
      backoff?: number;
      interval?: number;
    } = {},
  ) {
    const { device = 'cpu', initial = 65536 } = options;
    this.scale_ = keep(full([], initial, { device }));
    this.growthTracker = keep(zeros([], { dtype: 'int32', device }));
  }

  get scale(): number {
    return Number(this.scale_.item());
  }

  /** The loss to call `backward` on. */
  scaled(loss: Tensor): Tensor {
    return loss.mul(this.scale_);
  }

  /**
   * Scales the gradients down in place and adapts the scale.
   *
   * @returns whether all gradients were finite: only then may the optimiser step.
   */
  unscale(parameters: Iterable<Tensor>): boolean {
    const { growth = 2, backoff = 0.5, interval = 2000 } = this.options;
    return noGrad(() =>
      tidy(() => {
        const gradients = [...parameters].map((parameter) => parameter.grad).filter((gradient) => gradient !== null);
        const foundInf = zeros([], { device: this.scale_.device });
        const inverse = this.scale_.to('float64').pow(-1).to('float32');
        aten._amp_foreach_non_finite_check_and_unscale_(gradients, foundInf, inverse);
        aten._amp_update_scale_(this.scale_, this.growthTracker, foundInf, growth, backoff, interval);
        return foundInf.item() === 0;
      }),
    );
  }

  stateDict(): Map<string, Tensor> {
    return new Map([
      ['scale', this.scale_],
      ['growth_tracker', this.growthTracker],
    ]);
  }

  [Symbol.dispose](): void {
    this.scale_.dispose();
    this.growthTracker.dispose();
  }
}
