import { native } from './native.js';
import { keep, tidy } from './scope.js';
import type { Tensor } from './tensor.js';

function onlyWithCuda<R>(call: (() => R) | undefined, what: string): R {
  if (!call) throw new Error(`${what} needs a LibTorch with CUDA; "aaunet doctor" says which one this is.`);
  return call();
}

/** Returns when the device has done all that it was asked to. */
export function synchronize(device = 'cuda'): void {
  onlyWithCuda(native.synchronize && (() => native.synchronize?.(device)), 'synchronize');
}

/** The most bytes that tensors have taken on the device at once. */
export function peakMemory(device = 'cuda'): number {
  return onlyWithCuda(native.peakMemory && (() => native.peakMemory?.(device) ?? 0), 'peakMemory');
}

/** What a device was asked to do, recorded once and replayed at one call (a CUDA graph). */
export class CudaGraph implements Disposable {
  private constructor(private readonly id: number) {}

  /**
   * Records what `body` launches on the device without running it: its tensors have their values after {@link replay}.
   * `body` must not read values or copy from plain CPU memory, and what it computes must have been computed before, so that
   * libraries have made their choices.
   */
  static record(device: string, body: () => void): CudaGraph {
    return new CudaGraph(onlyWithCuda(native.captureGraph && (() => native.captureGraph!(device, body)), 'CudaGraph'));
  }

  replay(): void {
    native.replayGraph?.(this.id);
  }

  [Symbol.dispose](): void {
    native.dropGraph?.(this.id);
  }
}

/** What a recorded function leaves beside its result, in memory of the recording's own. */
export interface LeftBeside extends Disposable {
  /** Puts it in its place again, after a replay. */
  restore(): void;
}

interface Recording {
  readonly graph: CudaGraph;
  readonly inputs: readonly Tensor[];
  readonly output: Tensor;
  readonly left: LeftBeside | undefined;
}

/** How often a shape is computed before it is recorded: libraries choose their algorithms meanwhile. */
const WARM_UPS = 2;
/** Recordings keep their memory: a function of more shapes than these is computed as it comes. */
const MOST_SHAPES = 4;

/**
 * A function whose thousands of small launches take longer than what they launch: on a CUDA device it is recorded for each shape of
 * its inputs and replayed; elsewhere it is called. It must be a function of its inputs' values and of tensors that stay where
 * they are, such as parameters.
 */
export class Graphed implements Disposable {
  private readonly recordings = new Map<string, Recording>();
  private readonly calls = new Map<string, number>();

  /**
   * @param options.beforeRecording makes what `compute` changes as it was before the first call, without memory of the default pool
   * @param options.afterRecording takes what `compute` left beside its result
   */
  constructor(
    private readonly device: string,
    private readonly compute: (...inputs: Tensor[]) => Tensor,
    private readonly options: { beforeRecording?: () => void; afterRecording?: () => LeftBeside } = {},
  ) {}

  /** The function's value, a tensor that the next call may write over. */
  run(...inputs: Tensor[]): Tensor {
    if (!this.device.startsWith('cuda')) return this.compute(...inputs);
    const key = inputs.map(({ dtype, shape, strides }) => `${dtype} ${shape.join()} ${strides.join()}`).join(';');
    const calls = this.calls.get(key) ?? 0;
    this.calls.set(key, calls + 1);
    if (calls < WARM_UPS || (!this.recordings.has(key) && this.recordings.size >= MOST_SHAPES))
      return this.compute(...inputs);
    let recording = this.recordings.get(key);
    if (!recording) this.recordings.set(key, (recording = this.record(inputs)));
    for (const [i, input] of inputs.entries()) recording.inputs[i]!.copy_(input);
    recording.graph.replay();
    recording.left?.restore();
    return recording.output;
  }

  private record(inputs: readonly Tensor[]): Recording {
    const own = inputs.map((input) => keep(input.detach().clone()));
    let output: Tensor | undefined;
    try {
      this.options.beforeRecording?.();
      const graph = CudaGraph.record(this.device, () => {
        output = keep(tidy(() => this.compute(...own)).detach());
      });
      return { graph, inputs: own, output: output!, left: this.options.afterRecording?.() };
    } catch (error) {
      for (const tensor of [...own, output]) tensor?.dispose();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    for (const { graph, inputs, output, left } of this.recordings.values()) {
      left?.[Symbol.dispose]();
      for (const tensor of [...inputs, output]) tensor.dispose();
      graph[Symbol.dispose]();
    }
    this.recordings.clear();
  }
}
