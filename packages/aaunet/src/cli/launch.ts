import { spawn, type ChildProcess } from 'node:child_process';
import { createServer } from 'node:net';
import { availableParallelism } from 'node:os';

import { InterruptedError, sentenceOf } from './errors.js';

/** What a process that was started by {@link launch} says of its end. */
interface Ending {
  readonly kind: 'failed' | 'interrupted' | 'lost peers';
  readonly sentence: string;
}

interface Member {
  readonly child: ChildProcess;
  ending?: Ending;
  /** The end of what it wrote to stderr. */
  errors: string;
}

export interface LaunchOptions {
  readonly processes: number;
  /** The command line that every process runs. */
  readonly args: readonly string[];
  readonly signal: AbortSignal;
  readonly environment?: NodeJS.ProcessEnv;
}

/** Others see that a process is gone at once; those that have not after so long hang in something else. */
const GRACE_MS = 5_000;

/** The program without `--nproc`, for each of the processes. */
export function withoutNproc(args: readonly string[]): string[] {
  return args.filter((arg, i) => arg !== '--nproc' && !arg.startsWith('--nproc=') && args[i - 1] !== '--nproc');
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => {
        if (address === null || typeof address === 'string')
          reject(new Error('No free port of this machine was found.'));
        else resolve(address.port);
      });
    });
  });
}

/**
 * Runs the same command in several processes of this machine with torchrun's variables, CPU threads divided; the first
 * writes to this terminal.
 *
 * @throws Error of one sentence, the first reason, when one of them fails; the others have ended then.
 */
export async function launch({ processes, args, signal, environment = process.env }: LaunchOptions): Promise<void> {
  const port = await freePort();
  const threads = String(Math.max(1, Math.floor(availableParallelism() / processes)));
  const members = Array.from({ length: processes }, (_, rank): Member => {
    const child = spawn(process.execPath, [...process.execArgv, ...args], {
      env: {
        OMP_NUM_THREADS: threads,
        ...environment,
        RANK: String(rank),
        LOCAL_RANK: String(rank),
        WORLD_SIZE: String(processes),
        LOCAL_WORLD_SIZE: String(processes),
        MASTER_ADDR: '127.0.0.1',
        MASTER_PORT: String(port),
        AAUNET_LAUNCHED: '1',
      },
      stdio: ['ignore', rank === 0 ? 'inherit' : 'ignore', rank === 0 ? 'inherit' : 'pipe', 'ipc'],
      // Ctrl-C goes to this process alone, which passes it on once.
      detached: true,
    });
    const member: Member = { child, errors: '' };
    child.stderr?.on('data', (chunk) => (member.errors = (member.errors + String(chunk)).slice(-2000)));
    child.on('message', (message) => (member.ending = message as Ending));
    return member;
  });
  const stopAll = (): void => {
    for (const { child } of members) child.kill('SIGINT');
  };
  signal.addEventListener('abort', stopAll);
  let grace: NodeJS.Timeout | undefined;
  const killed = new Set<Member>();
  const ended = members.map(
    (member) =>
      new Promise<void>((resolve) => {
        const end = (): void => {
          // One that failed ends all.
          if (member.child.exitCode !== 0)
            grace ??= setTimeout(() => {
              for (const other of members) {
                if (other.child.exitCode === null && other.child.signalCode === null && other.child.kill('SIGKILL'))
                  killed.add(other);
              }
            }, GRACE_MS);
          resolve();
        };
        member.child.on('close', end);
        member.child.on('error', (error) => {
          member.ending = { kind: 'failed', sentence: error.message };
          end();
        });
      }),
  );
  try {
    await Promise.all(ended);
  } finally {
    clearTimeout(grace);
    signal.removeEventListener('abort', stopAll);
  }
  throwFirstReason(
    members.filter((member) => !killed.has(member) && member.child.exitCode !== 0),
    members,
  );
}

function throwFirstReason(failed: readonly Member[], all: readonly Member[]): void {
  if (failed.length === 0) return;
  const of = (kind: Ending['kind']): Member | undefined => failed.find(({ ending }) => ending?.kind === kind);
  const interrupted = of('interrupted');
  const silent = failed.find(({ ending }) => ending === undefined);
  const own = of('failed');
  if (own) throw new Error(own.ending!.sentence);
  if (silent) {
    const { exitCode, signalCode } = silent.child;
    const how = signalCode === null ? `ended with status ${exitCode}` : `was killed (${signalCode})`;
    const said = silent.errors.trim().split('\n').at(-1) ?? '';
    throw new Error(
      `Process ${all.indexOf(silent)} of ${all.length} ${how}${said === '' ? '' : `: ${said}`}; the last checkpoint is kept, continue with --resume.`,
    );
  }
  if (interrupted) throw new InterruptedError(interrupted.ending!.sentence);
  throw new Error(failed[0]!.ending!.sentence);
}

/** Whether this process was started by {@link launch}. */
export function isLaunched(): boolean {
  return process.env['AAUNET_LAUNCHED'] === '1' && process.send !== undefined;
}

/** Ends with the process that started this one. */
export function endWithLauncher(): void {
  process.on('disconnect', () => {
    process.exit(1);
  });
  // It must not keep this process alive.
  process.channel?.unref();
}

/** Tells the launcher why this process ends, and ends it. */
export async function endWith(error: unknown): Promise<never> {
  const name = error instanceof Error ? error.name : '';
  const kind = name === 'PeerError' ? 'lost peers' : error instanceof InterruptedError ? 'interrupted' : 'failed';
  await new Promise<void>((resolve) => {
    process.send!({ kind, sentence: sentenceOf(error) } satisfies Ending, () => {
      resolve();
    });
  });
  process.exit(1);
}
