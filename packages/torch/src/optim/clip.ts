import { noGrad } from '../autograd.js';
import { aten } from '../operators.js';
import { tidy } from '../scope.js';
import type { Tensor } from '../tensor.js';

/**
 * Scales all gradients so that their joint 2-norm is at most `maxNorm`.
 *
 * @returns the norm before, a scalar tensor on the parameters' device (reading it with `item` waits for the device).
 */
export function clipGradNorm(parameters: Iterable<Tensor>, maxNorm: number): Tensor {
  return noGrad(() =>
    tidy(() => {
      const gradients = [...parameters].map((parameter) => parameter.grad).filter((gradient) => gradient !== null);
      if (gradients.length === 0) throw new Error('clipGradNorm: no parameter has a gradient; call backward first.');
      const norms = aten._foreach_norm.Scalar(gradients);
      const norm = aten.linalg_vector_norm(aten.stack(norms));
      const scale = norm.add(1e-6).pow(-1).mul(maxNorm).clamp(null, 1);
      aten._foreach_mul_.Tensor(gradients, scale);
      return norm;
    }),
  );
}
