import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { loadTensors, saveTensors } from '@aaunet/torch';
import { SafetensorsFile } from '@aaunet/torch/safetensors';
import type { Layer } from '@aaunet/torch/nn';
import type { AdamW } from '@aaunet/torch/optim';

import { shellWords } from '../shell-words.js';

/** Where a training stands: with the weights and the optimiser's state all that continuing takes. */
export interface Progress {
  /** Steps done. */
  readonly step: number;
  /** The step of the last validation; 0 before the first. */
  readonly validated: number;
  /** Best mean validation Dice so far; NaN before the first validation. */
  readonly bestDice: number;
}

/** Where a training begins. */
export const NOT_BEGUN: Progress = { step: 0, validated: 0, bestDice: NaN };

export type CheckpointName = 'last' | 'best';

/** Path of a checkpoint's weights in a run folder. */
export function checkpointPath(run: string, name: CheckpointName): string {
  return join(run, 'checkpoints', `${name}.safetensors`);
}

const OPTIMIZER_FILE = /^optimizer-\d+\.safetensors$/;
/** What a kill in the middle of writing leaves behind. */
const UNFINISHED_FILE = /^\..+\.safetensors\..+\.tmp$/;

function optimizerFile(step: number): string {
  return `optimizer-${step}.safetensors`;
}

/** Writes `checkpoints/best.safetensors`: the weights alone. */
export function saveBest(run: string, network: Layer, progress: Progress): void {
  mkdirSync(join(run, 'checkpoints'), { recursive: true });
  saveTensors(checkpointPath(run, 'best'), network.stateDict(), metadataOf(progress));
}

/**
 * Writes `checkpoints/last.safetensors` and the optimiser's state of the same step beside it. The weights' rename is the
 * moment at which the checkpoint changes: they name the state that belongs to them, and older states go only afterwards.
 */
export function saveLast(run: string, network: Layer, optimizer: AdamW, progress: Progress): void {
  const folder = join(run, 'checkpoints');
  mkdirSync(folder, { recursive: true });
  saveTensors(join(folder, optimizerFile(progress.step)), optimizer.stateDict());
  saveTensors(checkpointPath(run, 'last'), network.stateDict(), metadataOf(progress));
  for (const name of readdirSync(folder)) {
    const isOld = OPTIMIZER_FILE.test(name) && name !== optimizerFile(progress.step);
    if (isOld || UNFINISHED_FILE.test(name)) rmSync(join(folder, name));
  }
}

/** Whether a run folder has a checkpoint to continue from. */
export function hasCheckpoint(run: string): boolean {
  return existsSync(checkpointPath(run, 'last'));
}

/** Puts the last checkpoint into network and optimiser. @throws Error if it is another network's or damaged. */
export function loadLast(run: string, network: Layer, optimizer: AdamW): Progress {
  const progress = loadWeights(checkpointPath(run, 'last'), network);
  const path = join(run, 'checkpoints', optimizerFile(progress.step));
  if (!existsSync(path))
    throw new Error(
      `Expected the optimiser's state at ${path} beside last.safetensors; put it back, or start anew with ${shellWords(['--init', checkpointPath(run, 'last')])}.`,
    );
  const state = loadTensors(path).tensors;
  try {
    optimizer.loadStateDict(state);
  } finally {
    for (const tensor of state.values()) tensor.dispose();
  }
  return progress;
}

/** Puts the weights of a checkpoint file into a network. @throws Error if they are another network's. */
export function loadWeights(path: string, network: Layer): Progress {
  const { tensors, metadata } = loadTensors(path);
  try {
    network.loadStateDict(tensors);
  } catch (error) {
    throw new Error(`${path}: ${(error as Error).message}`, { cause: error });
  } finally {
    for (const tensor of tensors.values()) tensor.dispose();
  }
  return progressOf(metadata);
}

/** The progress written into a checkpoint, without reading its weights. */
export function readProgress(path: string): Progress {
  using file = SafetensorsFile.open(path);
  return progressOf(Object.fromEntries(file.metadata));
}

function metadataOf(progress: Progress): Record<string, string> {
  return { step: String(progress.step), validated: String(progress.validated), bestDice: String(progress.bestDice) };
}

function progressOf(metadata: Record<string, string>): Progress {
  const number = (key: keyof Progress, absent: number): number => Number(metadata[key] ?? absent);
  return { step: number('step', 0), validated: number('validated', 0), bestDice: number('bestDice', NaN) };
}
