import { noGrad } from '../autograd.js';
import { aten } from '../operators.js';
import { keep, tidy } from '../scope.js';
import { Tensor, type Dtype, type MemoryFormat } from '../tensor.js';

/** Marks a tensor as trained: it is in `parameters()` and in the state dict. */
export function parameter(tensor: Tensor): Tensor {
  tensor.role = 'parameter';
  tensor.requiresGrad = true;
  return keep(tensor);
}

/** Marks a tensor as part of the state dict that is not trained. */
export function buffer(tensor: Tensor): Tensor {
  tensor.role = 'buffer';
  return keep(tensor);
}

export interface LoadReport {
  /** Keys of the module that the state dict lacks. */
  missing: string[];
  /** Keys of the state dict that the module lacks. */
  unexpected: string[];
  /** `key: expected [2, 3], found [4]`. */
  mismatched: string[];
}

/**
 * The base of layers and networks. Its parameters, buffers and submodules are simply its own properties (arrays of
 * modules too), in the order of their assignment, and the property names are PyTorch's state-dict keys.
 */
export abstract class Module implements Disposable {
  training = true;

  /** Submodules under the names they have in the state dict. */
  *children(): Iterable<[string, Module]> {
    for (const [name, value] of Object.entries(this)) {
      if (value instanceof Module) yield [name, value];
      else if (Array.isArray(value)) {
        for (const [index, item] of value.entries()) if (item instanceof Module) yield [`${name}.${index}`, item];
      }
    }
  }

  /** This module and all below it, with their dotted names. */
  *modules(prefix = ''): Iterable<[string, Module]> {
    yield [prefix, this];
    for (const [name, child] of this.children()) yield* child.modules(prefix === '' ? name : `${prefix}.${name}`);
  }

  private *own(role: Tensor['role']): Iterable<[string, Tensor]> {
    for (const [name, value] of Object.entries(this))
      if (value instanceof Tensor && value.role === role) yield [name, value];
  }

  private *named(role: 'parameter' | 'buffer'): Iterable<[string, Tensor]> {
    for (const [prefix, module] of this.modules())
      for (const [name, tensor] of module.own(role)) yield [prefix === '' ? name : `${prefix}.${name}`, tensor];
  }

  namedParameters(): Map<string, Tensor> {
    return new Map(this.named('parameter'));
  }

  parameters(): Tensor[] {
    return [...this.namedParameters().values()];
  }

  namedBuffers(): Map<string, Tensor> {
    return new Map(this.named('buffer'));
  }

  /** Parameters and buffers under PyTorch's keys and in PyTorch's order: the tensors themselves, not copies. */
  stateDict(): Map<string, Tensor> {
    const state = new Map<string, Tensor>();
    for (const [prefix, module] of this.modules())
      for (const role of ['parameter', 'buffer'] as const)
        for (const [name, tensor] of module.own(role)) state.set(prefix === '' ? name : `${prefix}.${name}`, tensor);
    return state;
  }

  /**
   * Copies values into parameters and buffers by name, converting dtype and device.
   *
   * @throws naming what differs, with nothing copied, unless `strict` is false; then what fits is copied and the report says
   * what did not.
   */
  loadStateDict(state: ReadonlyMap<string, Tensor>, options: { strict?: boolean } = {}): LoadReport {
    const own = this.stateDict();
    const report: LoadReport = { missing: [], unexpected: [], mismatched: [] };
    const matching: [Tensor, Tensor][] = [];
    for (const [name, target] of own) {
      const source = state.get(name);
      if (!source) report.missing.push(name);
      else if (String(source.shape) !== String(target.shape))
        report.mismatched.push(`${name}: expected [${target.shape.join(', ')}], found [${source.shape.join(', ')}]`);
      else matching.push([target, source]);
    }
    for (const name of state.keys()) if (!own.has(name)) report.unexpected.push(name);
    if (options.strict ?? true) {
      const problems = (['missing', 'unexpected', 'mismatched'] as const)
        .filter((kind) => report[kind].length > 0)
        .map(
          (kind) =>
            `${report[kind].length} ${kind} (${report[kind].slice(0, 3).join('; ')}${report[kind].length > 3 ? '; …' : ''})`,
        );
      if (problems.length > 0) throw new Error(`The weights are not this network's: ${problems.join(', ')}.`);
    }
    noGrad(() => {
      for (const [target, source] of matching) target.copy_(source);
    });
    return report;
  }

  /** Training mode: batch statistics, dropout. */
  train(on = true): this {
    for (const [, module] of this.modules()) module.training = on;
    return this;
  }

  /** Inference mode: running statistics. */
  eval(): this {
    return this.train(false);
  }

  /** Moves parameters and buffers in place; floating-point ones take `dtype`, 4-D ones `memoryFormat`. */
  to(target: { dtype?: Dtype; device?: string; memoryFormat?: MemoryFormat }): this {
    const { dtype, device, memoryFormat } = target;
    for (const [, module] of this.modules()) {
      for (const role of ['parameter', 'buffer'] as const) {
        for (const [name, tensor] of module.own(role)) {
          const floating = tensor.dtype.includes('float');
          using converted = noGrad(() =>
            tensor.to({
              ...(dtype && floating && { dtype }),
              ...(device && { device }),
              ...(memoryFormat && tensor.ndim === 4 && { memoryFormat }),
            }),
          );
          const moved = converted.detach();
          tensor.dispose();
          Object.assign(module, { [name]: role === 'parameter' ? parameter(moved) : buffer(moved) });
        }
      }
    }
    return this;
  }

  zeroGrad(): void {
    for (const tensor of this.parameters()) tensor.grad = null;
  }

  [Symbol.dispose](): void {
    for (const tensor of this.stateDict().values()) tensor.dispose();
  }
}

/** A module that maps one tensor to one. */
export abstract class Layer extends Module {
  abstract forward(input: Tensor): Tensor;

  /** relu(forward(input) + residual). Layers that can do so in one pass do. */
  forwardReLU(input: Tensor, residual: Tensor | null = null): Tensor {
    return tidy(() => {
      const output = this.forward(input);
      return residual ? aten.relu_(output.add(residual)) : output.relu();
    });
  }
}
