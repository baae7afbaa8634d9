import { likeliestLabels, SquarePlane, stackThree, windowToInput, type Volume } from '@aaunet/imaging';

import { CLASSES, type ModelInfo } from './model-file.js';

/** Gives logits (1 x 8 x S x S) for an input of 1 x 3 x S x S. */
export type Network = (input: Float32Array, size: number) => Promise<Float32Array>;

/** Labels of a slice at the scan's own size. */
export interface SliceResult {
  readonly slice: number;
  readonly labels: Uint8Array;
}

/** The slices in the order in which they are done: from the one on view outwards. */
export function fromTheMiddle(slices: number, start: number): number[] {
  return Array.from({ length: slices }, (_, k) => k).sort((a, b) => Math.abs(a - start) - Math.abs(b - start) || a - b);
}

/** Segments a canonical scan slice by slice, as the command line does; ends early where `stopped` says so. */
export async function* segmentScan(
  scan: Volume<Int16Array>,
  model: ModelInfo,
  network: Network,
  start = 0,
  stopped: () => boolean = () => false,
): AsyncGenerator<SliceResult> {
  const plane = new SquarePlane(scan, model.size, model.fit);
  const square = plane.scan(scan);
  for (const slice of fromTheMiddle(scan.slices, start)) {
    if (stopped()) return;
    const logits = await network(windowToInput(stackThree(square, slice), model.window), model.size);
    const shape = { count: 1, classes: CLASSES, pixels: model.size ** 2, unmarked: model.unmarked };
    yield { slice, labels: plane.sourceLabels(likeliestLabels(logits, shape)) };
  }
}
