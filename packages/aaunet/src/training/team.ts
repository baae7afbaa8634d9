import { fromTypedArray, setNumThreads, type Tensor } from '@aaunet/torch';
import {
  DistributedDataParallel,
  PeerError,
  placeFromEnvironment,
  ProcessGroup,
  synchronizeBatchNorm,
} from '@aaunet/torch/distributed';
import type { Layer } from '@aaunet/torch/nn';

import type { TrainConfig } from './config.js';

/** The processes of one training: those of a launcher's group, or this one alone. */
export class Team {
  private constructor(private readonly group: ProcessGroup | null) {}

  /** Joins the group that the environment names, if it names one. @throws Error of one sentence if it cannot. */
  static join(config: Pick<TrainConfig, 'device' | 'batch' | 'accumulate'>): Team {
    const place = placeFromEnvironment();
    if (place === null) return new Team(null);
    const smallest = config.batch / config.accumulate;
    if (smallest < place.size)
      throw new Error(
        `${place.size} processes need at least ${place.size} slices in a pass, found ${smallest} (batch / accumulate); raise --batch or start fewer.`,
      );
    if (config.device.includes(':'))
      throw new Error(`With several processes each has its own device: expected "cuda", found "${config.device}".`);
    return new Team(ProcessGroup.join(place, { cuda: config.device !== 'cpu' }));
  }

  get rank(): number {
    return this.group?.rank ?? 0;
  }

  get size(): number {
    return this.group?.size ?? 1;
  }

  /** Whether this process writes and reports. */
  get isFirst(): boolean {
    return this.rank === 0;
  }

  /** The device of this process. */
  device(wished: string): string {
    return this.group && wished === 'cuda' ? `cuda:${this.group.place.localRank}` : wished;
  }

  /** CPU threads of this machine, divided over its processes. */
  setThreads(threads: number): void {
    const local = Number(process.env['LOCAL_WORLD_SIZE'] ?? 1);
    setNumThreads(Math.max(1, Math.floor(threads / (local >= 1 ? local : 1))));
  }

  /** Sums over all processes, value by value. */
  sum(values: readonly number[]): number[] {
    if (!this.group) return [...values];
    using tensor = fromTypedArray(Float64Array.from(values), [values.length]);
    this.group.allReduce(tensor);
    return [...tensor.data('float64')];
  }

  /** Whether it is so in any process. */
  any(isSo: boolean): boolean {
    return this.sum([isSo ? 1 : 0])[0]! > 0;
  }

  /** Runs a task in the first process, then in the others, which find what it has left. */
  async firstAlone<R>(name: string, task: () => Promise<R>, signal?: AbortSignal): Promise<R> {
    if (!this.group) return task();
    if (!this.isFirst) await this.group.heard(name, signal);
    const result = await task();
    if (this.isFirst) this.group.announce(name);
    return result;
  }

  /** Gives all processes the first one's tensors. */
  share(tensors: Iterable<Tensor>): void {
    for (const tensor of tensors) this.group?.broadcast(tensor);
  }

  /** This process's part of a list. */
  partOf<T>(items: readonly T[]): T[] {
    return items.filter((_, index) => index % this.size === this.rank);
  }

  /** Waits for all. */
  meet(): void {
    this.group?.barrier();
  }

  /** Ends the group after a good end. */
  leave(): void {
    if (!this.group) return;
    this.group.barrier();
    this.group[Symbol.dispose]();
  }

  /** Tells the others why this process ends; they end with the same reason. */
  fail(error: unknown): void {
    if (error instanceof PeerError) return;
    this.group?.fail(error instanceof Error ? (error.message.split('\n')[0] ?? error.name) : String(error));
  }

  /** The network as all processes train it. */
  train(network: Layer, config: Pick<TrainConfig, 'syncBatchNorm'>): TeamNetwork {
    if (this.group) synchronizeBatchNorm(network, config.syncBatchNorm);
    return new TeamNetwork(this, network, this.group ? new DistributedDataParallel(network, this.group) : null);
  }
}

/** A network whose gradients are the mean over the processes of a team. */
export class TeamNetwork implements Disposable {
  constructor(
    readonly team: Team,
    readonly layer: Layer,
    private readonly parallel: DistributedDataParallel | null,
  ) {}

  forward(input: Tensor): Tensor {
    return (this.parallel ?? this.layer).forward(input);
  }

  backward(loss: Tensor): void {
    if (this.parallel) this.parallel.backward(loss);
    else loss.backward();
  }

  withoutReduction<R>(body: () => R): R {
    return this.parallel ? this.parallel.withoutReduction(body) : body();
  }

  parameters(): Tensor[] {
    return this.layer.parameters();
  }

  [Symbol.dispose](): void {
    this.parallel?.[Symbol.dispose]();
  }
}
