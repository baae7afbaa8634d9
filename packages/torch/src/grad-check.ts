import { grad, noGrad } from './autograd.js';
import { tidy } from './scope.js';
import { rand } from './create.js';
import type { Tensor } from './tensor.js';

/**
 * Compares the gradients of `fn` with central differences, element by element, in float64: with a random weighting r of
 * the output, d(sum(fn(x) r))/dx_i against (f(x_i + eps) - f(x_i - eps)) / (2 eps).
 *
 * @returns the largest difference as a part of the largest gradient of that input; about 1e-8 where all is well.
 * @throws if an input is not float64.
 */
export function gradCheck(fn: (...inputs: Tensor[]) => Tensor, inputs: readonly Tensor[], eps = 1e-6): number {
  for (const input of inputs)
    if (input.dtype !== 'float64') throw new TypeError(`gradCheck: expected float64 inputs, got ${input.toString()}.`);
  return tidy(() => {
    const leaves = inputs.map((input) => {
      const leaf = input.detach().clone();
      leaf.requiresGrad = true;
      return leaf;
    });
    const output = fn(...leaves);
    const weights = rand(output.shape, { dtype: 'float64' });
    const analytic = grad([output.mul(weights).sum()], leaves, { allowUnused: true });
    const evaluate = (): number =>
      tidy(() =>
        noGrad(() =>
          Number(
            fn(...leaves)
              .mul(weights)
              .sum()
              .item(),
          ),
        ),
      );
    let worst = 0;
    for (const [index, leaf] of leaves.entries()) {
      const elements = leaf.detach().data('float64');
      const expected = elements.map((value, i) => {
        elements[i] = value + eps;
        const above = evaluate();
        elements[i] = value - eps;
        const below = evaluate();
        elements[i] = value;
        return (above - below) / (2 * eps);
      });
      const found = analytic[index]?.toArray() ?? Array.from(expected, () => 0);
      const scale = Math.max(...expected.map(Math.abs), 1e-3);
      for (const [i, value] of expected.entries()) worst = Math.max(worst, Math.abs(value - found[i]!) / scale);
    }
    return worst;
  });
}
