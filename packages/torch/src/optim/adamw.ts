import { noGrad } from '../autograd.js';
import { aten } from '../operators.js';
import { keep } from '../scope.js';
import { zeros } from '../create.js';
import type { Tensor } from '../tensor.js';

export interface AdamWOptions {
  betas?: readonly [number, number];
  eps?: number;
  weightDecay?: number;
  /** Parameters for which this is false are not decayed; by default all are. */
  decays?: (name: string, parameter: Tensor) => boolean;
}

interface Slot {
  name: string;
  parameter: Tensor;
  decayed: boolean;
  exp_avg: Tensor;
  exp_avg_sq: Tensor;
  step: Tensor;
}

/** Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv:1711.05101), one fused operator a step. */
export class AdamW implements Disposable {
  private readonly slots: Slot[];
  private readonly betas: readonly [number, number];
  private readonly eps: number;
  private readonly weightDecay: number;

  constructor(parameters: ReadonlyMap<string, Tensor>, options: AdamWOptions = {}) {
    this.betas = options.betas ?? [0.9, 0.999];
    this.eps = options.eps ?? 1e-8;
    this.weightDecay = options.weightDecay ?? 1e-2;
    const decays = options.decays ?? (() => true);
    this.slots = noGrad(() =>
      [...parameters].map(([name, parameter]) => ({
        name,
        parameter,
        decayed: decays(name, parameter),
        exp_avg: keep(aten.zeros_like(parameter)),
        exp_avg_sq: keep(aten.zeros_like(parameter)),
        step: keep(zeros([], { device: parameter.device })),
      })),
    );
  }

  /** Moves every parameter that has a gradient against it, with learning rate `lr`. */
  step(lr: number): void {
    for (const decayed of [true, false]) {
      const used = this.slots.filter((slot) => slot.decayed === decayed);
      const gradients = used.map((slot) => slot.parameter.grad);
      const active = used.filter((_, index) => gradients[index] !== null);
      const present = gradients.filter((gradient) => gradient !== null);
      if (active.length > 0) {
        noGrad(() => {
          const steps = active.map((slot) => slot.step);
          // The fused operator reads the count of steps, this one included.
          aten._foreach_add_.Scalar(steps, 1);
          aten._fused_adamw_(
            active.map((slot) => slot.parameter),
            present,
            active.map((slot) => slot.exp_avg),
            active.map((slot) => slot.exp_avg_sq),
            [],
            steps,
            {
              lr,
              beta1: this.betas[0],
              beta2: this.betas[1],
              weight_decay: decayed ? this.weightDecay : 0,
              eps: this.eps,
              amsgrad: false,
              maximize: false,
            },
          );
        });
      }
      for (const gradient of present) gradient.dispose();
    }
  }

  zeroGrad(): void {
    for (const slot of this.slots) slot.parameter.grad = null;
  }

  /** `<parameter>.exp_avg`, `.exp_avg_sq` and `.step`: the tensors themselves, not copies. */
  stateDict(): Map<string, Tensor> {
    return new Map(
      this.slots.flatMap((slot) =>
        (['exp_avg', 'exp_avg_sq', 'step'] as const).map((key) => [`${slot.name}.${key}`, slot[key]] as const),
      ),
    );
  }

  /** @throws if a tensor is missing or has another shape; nothing is copied then. */
  loadStateDict(state: ReadonlyMap<string, Tensor>): void {
    const pairs = [...this.stateDict()].map(([name, target]): [Tensor, Tensor] => {
      const source = state.get(name);
      if (!source) throw new Error(`The optimiser state lacks ${name}; it belongs to another network.`);
      if (String(source.shape) !== String(target.shape))
        throw new Error(
          `The optimiser state of ${name} has shape [${source.shape.join(', ')}], expected [${target.shape.join(', ')}].`,
        );
      return [target, source];
    });
    noGrad(() => {
      for (const [target, source] of pairs) target.copy_(source);
    });
  }

  [Symbol.dispose](): void {
    for (const tensor of this.stateDict().values()) tensor.dispose();
  }
}
