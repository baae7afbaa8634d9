import { setTimeout } from 'node:timers/promises';

import { noGrad } from './autograd.js';
import { native } from './native.js';
import { BatchNorm2d } from './nn/norm.js';
import { Layer } from './nn/module.js';
import { operator } from './operators.js';
import { tidy } from './scope.js';
import type { Tensor } from './tensor.js';

/** A process's place among those that compute together. */
export interface GroupPlace {
  /** 0 to `size` - 1. */
  readonly rank: number;
  readonly size: number;
  /** Place among the processes of this machine: the number of its device. */
  readonly localRank: number;
  /** Where the process with rank 0 listens. */
  readonly host: string;
  readonly port: number;
  /** Whether the launcher listens there in its stead, as torchrun's agent does. */
  readonly launcherListens: boolean;
  /** How often the launcher has started the group anew: what earlier attempts left with it is not this one's. */
  readonly attempt: number;
}

type Environment = Readonly<Record<string, string | undefined>>;

function whole(environment: Environment, name: string, least: number): number | undefined {
  const text = environment[name];
  if (text === undefined || text === '') return undefined;
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < least)
    throw new Error(
      `${name} should be a whole number of at least ${least}, found "${text}"; start with --nproc or torchrun.`,
    );
  return value;
}

/** The first host of Slurm's list, such as `gpu[003-005,7],login` (gpu003). */
function firstHost(list: string): string {
  const match = /^([^,[]+)(?:\[(\w+)[^\]]*\])?/.exec(list);
  if (!match) throw new Error(`SLURM_JOB_NODELIST should name a host, found "${list}"; set MASTER_ADDR.`);
  return `${match[1]!}${match[2] ?? ''}`;
}

/**
 * The place that a launcher gave this process: torchrun and Kubeflow's PyTorchJob (RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR,
 * MASTER_PORT) or Slurm's srun (SLURM_PROCID, SLURM_NTASKS, SLURM_LOCALID). Null for a process by itself.
 *
 * @throws Error of one sentence where a variable is missing or out of range.
 */
export function placeFromEnvironment(environment: Environment = process.env): GroupPlace | null {
  const isSlurm = environment['RANK'] === undefined && environment['SLURM_PROCID'] !== undefined;
  const names = isSlurm
    ? { rank: 'SLURM_PROCID', size: 'SLURM_NTASKS', local: 'SLURM_LOCALID' }
    : { rank: 'RANK', size: 'WORLD_SIZE', local: 'LOCAL_RANK' };
  const rank = whole(environment, names.rank, 0);
  const size = whole(environment, names.size, 1);
  if (rank === undefined && size === undefined) return null;
  if (isSlurm && (size ?? 1) === 1) return null;
  if (rank === undefined || size === undefined) {
    const missing = rank === undefined ? names.rank : names.size;
    throw new Error(
      `${missing} is missing beside ${missing === names.rank ? names.size : names.rank}; a launcher sets both.`,
    );
  }
  if (rank >= size) throw new Error(`${names.rank} should be below ${names.size} (${size}), found ${rank}.`);
  const localRank = whole(environment, names.local, 0) ?? 0;
  const nodes = environment['SLURM_STEP_NODELIST'] ?? environment['SLURM_JOB_NODELIST'];
  const host = environment['MASTER_ADDR'] ?? (isSlurm && nodes !== undefined ? firstHost(nodes) : undefined);
  // Jobs that share a machine must not meet at one port.
  const ownPort = isSlurm ? 15_000 + ((whole(environment, 'SLURM_JOB_ID', 0) ?? 0) % 15_000) : undefined;
  const port = whole(environment, 'MASTER_PORT', 1) ?? ownPort;
  if (size === 1) return null;
  if (host === undefined || host === '')
    throw new Error('MASTER_ADDR is missing: it should name the host of the process with rank 0.');
  if (port === undefined || port > 65_535)
    throw new Error(`MASTER_PORT should be a free port of ${host} from 1 to 65535, found ${port ?? 'none'}.`);
  const launcherListens = environment['TORCHELASTIC_USE_AGENT_STORE'] === 'True';
  const attempt = whole(environment, 'TORCHELASTIC_RESTART_COUNT', 0) ?? 0;
  return { rank, size, localRank, host, port, launcherListens, attempt };
}

const FAILURE = 'failure';
const POLL_MS = 100;

/** A peer is gone or has failed: what this process could not do is not its own fault. */
export class PeerError extends Error {
  override readonly name = 'PeerError';
}

/**
 * The processes that compute together, joined by c10d: Gloo on the CPU, NCCL on CUDA devices. A process is in one group at
 * most. Collectives hold the thread until all processes take part; they end with a {@link PeerError} where one has died or
 * does not come within the timeout.
 */
export class ProcessGroup implements Disposable {
  readonly rank: number;
  readonly size: number;

  private constructor(readonly place: GroupPlace) {
    this.rank = place.rank;
    this.size = place.size;
  }

  /**
   * Joins the group and returns when all processes have.
   *
   * @param options.timeoutSeconds how long to wait for the others, at the start and in every collective.
   */
  static join(place: GroupPlace, options: { cuda?: boolean; timeoutSeconds?: number } = {}): ProcessGroup {
    const { cuda = false, timeoutSeconds = 600 } = options;
    const { rank, size, host, port, launcherListens, attempt } = place;
    const isServer = rank === 0 && !launcherListens;
    const timeoutMs = Math.round(timeoutSeconds * 1000);
    try {
      native.joinGroup({ rank, size, host, port, isServer, attempt, timeoutMs, cuda });
    } catch (error) {
      const reason = firstLine(error);
      throw new Error(
        `Process ${rank} of ${size} could not join the others at ${host}:${port} (${reason}); check that all were started and the port is free.`,
        { cause: error },
      );
    }
    return new ProcessGroup(place);
  }

  /** Whether this is the process that writes and reports. */
  get isFirst(): boolean {
    return this.rank === 0;
  }

  /** Replaces the tensor by its sum over all processes. */
  allReduce(tensor: Tensor): void {
    this.guard(() => {
      noGrad(() => {
        native.allReduce(tensor);
      });
    });
  }

  /** Replaces the tensor by that of the process with rank `root`. */
  broadcast(tensor: Tensor, root = 0): void {
    this.guard(() => {
      noGrad(() => {
        native.broadcast(tensor, root);
      });
    });
  }

  /** Returns when all processes have come here. */
  barrier(): void {
    this.guard(() => {
      native.barrier();
    });
  }

  /** Tells the others something under a name. */
  announce(key: string, value = ''): void {
    this.guard(() => {
      native.storeSet(`said/${key}`, value);
    });
  }

  /** Waits, however long and without holding the thread, for what another process announces. */
  async heard(key: string, signal?: AbortSignal): Promise<string> {
    for (;;) {
      signal?.throwIfAborted();
      const value = this.guard(() => native.storeGet(`said/${key}`));
      if (value !== null) return value;
      const failure = native.storeGet(FAILURE);
      if (failure !== null) throw new PeerError(failure);
      await setTimeout(POLL_MS);
    }
  }

  /** Leaves the reason for this process's end to the others. */
  fail(reason: string): void {
    try {
      if (native.storeGet(FAILURE) === null)
        native.storeSet(FAILURE, `Process ${this.rank} of ${this.size} failed: ${reason}`);
    } catch {
      // The others see that the connection is gone.
    }
  }

  /** Runs what may fail because of a peer. @throws PeerError with the peer's own reason where it left one. */
  guard<R>(body: () => R): R {
    try {
      return body();
    } catch (error) {
      if (!isPeerFailure(error)) throw error;
      let failure: string | null = null;
      try {
        failure = native.storeGet(FAILURE);
      } catch {
        // The store is gone with the process that kept it.
      }
      throw new PeerError(
        failure ??
          `Process ${this.rank} of ${this.size} lost the others: one has ended or does not answer (${firstLine(error)}).`,
        { cause: error },
      );
    }
  }

  /** Leaves the group; a process that has failed ends without. */
  [Symbol.dispose](): void {
    native.leaveGroup();
  }
}

function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return (text.split('\n')[0] ?? '').replace(/^[\w ]+: (?=\[)/, '').slice(0, 200);
}

/** What Gloo, NCCL and the store say when a peer is gone; other errors are this process's own. */
function isPeerFailure(error: unknown): boolean {
  return error instanceof Error && /gloo|nccl|connection|timed? ?out|socket|peer|broken pipe/i.test(error.message);
}

/** The sum over all processes of the group, through which gradients flow (their sum is the gradient). */
export function groupSum(input: Tensor): Tensor {
  return operator('aaunet::group_sum')(input) as Tensor;
}

/** Whether the batch norms below `network` take their statistics over the batches of all processes of the group. */
export function synchronizeBatchNorm(network: Layer, on = true): void {
  for (const [, module] of network.modules()) if (module instanceof BatchNorm2d) module.synchronized = on;
}

/**
 * A network that every process of a group holds: at the start all take parameters and buffers of rank 0, and backward
 * averages the gradients over the processes, bucket by bucket while it runs (c10d's Reducer). All parameters must take part
 * in the loss.
 */
export class DistributedDataParallel implements Disposable {
  private readonly reducer: number;
  private isReducing = true;

  /** @param options.bucketMiB gradients that travel together. */
  constructor(
    readonly network: Layer,
    readonly group: ProcessGroup,
    options: { bucketMiB?: number } = {},
  ) {
    const parameters = network.namedParameters();
    this.reducer = group.guard(() =>
      native.makeReducer([...parameters.keys()], [...parameters.values()], (options.bucketMiB ?? 25) * 2 ** 20),
    );
    tidy(() => {
      for (const tensor of network.stateDict().values()) group.broadcast(tensor.detach());
    });
  }

  /** The network's forward; the backward that follows averages the gradients. */
  forward(input: Tensor): Tensor {
    if (this.isReducing)
      this.group.guard(() => {
        native.prepareReducer(this.reducer);
      });
    return this.group.guard(() => this.network.forward(input));
  }

  /** Calls `loss.backward()`. @throws PeerError where a process is gone. */
  backward(loss: Tensor): void {
    this.group.guard(() => {
      loss.backward();
    });
  }

  /** Passes within `body` only add to this process's gradients, which the next pass outside averages. */
  withoutReduction<R>(body: () => R): R {
    const before = this.isReducing;
    this.isReducing = false;
    try {
      return body();
    } finally {
      this.isReducing = before;
    }
  }

  [Symbol.dispose](): void {
    native.dropReducer(this.reducer);
  }
}
