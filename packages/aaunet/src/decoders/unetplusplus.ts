import { tidy, type Tensor } from '@aaunet/torch';
import { Module } from '@aaunet/torch/nn';

import { DECODER_CHANNELS, UNetBlock } from './unet-block.js';

/** Where a block stands: it makes column `column` at resolution `level`, both counted from the coarsest skip. */
const key = (column: number, level: number): string => `x_${column}_${level}`;

/** Blocks under their names. */
class NestedBlocks extends Module {
  constructor(readonly byName: ReadonlyMap<string, UNetBlock>) {
    super();
  }

  override *children(): Iterable<[string, Module]> {
    yield* this.byName;
  }
}

/**
 * The decoder of UNet++ (Zhou et al. 2018, arXiv:1807.10165) as segmentation_models.pytorch has it: takes an encoder's five
 * features, from fine to coarse, returns N x 16 x H x W. Levels run from 0 (the skip at stride 16) to 3 (stride 2) and 4 (the
 * image). Block `x_c_l` enlarges what is one level coarser and joins it to the level's skip and to every block of that level
 * which began later than column c; column 0 narrows to the decoder's width.
 */
export class UNetPlusPlusDecoder extends Module {
  readonly outChannels = DECODER_CHANNELS[4];
  readonly blocks: NestedBlocks;

  constructor(encoderChannels: readonly number[]) {
    super();
    const [coarsest = 0, ...skips] = [...encoderChannels].reverse();
    const blocks = new Map<string, UNetBlock>();
    for (const [level, skip] of skips.entries()) {
      blocks.set(
        key(0, level),
        new UNetBlock(belowFirst(coarsest, level), skip * (level + 1), DECODER_CHANNELS[level]!),
      );
      for (let column = 1; column <= level; column++)
        blocks.set(key(column, level), new UNetBlock(skips[level - 1]!, skip * (level + 1 - column), skip));
    }
    const last = skips.length;
    blocks.set(key(0, last), new UNetBlock(belowFirst(coarsest, last), 0, DECODER_CHANNELS[last]!));
    this.blocks = new NestedBlocks(blocks);
  }

  forward(features: readonly Tensor[]): Tensor {
    return tidy(() => {
      const fromCoarse = [...features].reverse();
      const made = new Map<string, Tensor>();
      const block = (column: number, level: number): UNetBlock => this.blocks.byName.get(key(column, level))!;
      const levels = fromCoarse.length - 1;
      for (let level = 0; level < levels; level++)
        for (let column = level; column >= 0; column--) {
          const below = column === level ? fromCoarse[level]! : made.get(key(column, level - 1))!;
          const later = Array.from({ length: level - column }, (_, i) => made.get(key(column + 1 + i, level))!);
          made.set(key(column, level), block(column, level).forward(below, [...later, fromCoarse[level + 1]!]));
        }
      return block(0, levels).forward(made.get(key(0, levels - 1))!);
    });
  }
}

/** Channels of what the first column enlarges at a level. */
function belowFirst(coarsest: number, level: number): number {
  return level === 0 ? coarsest : DECODER_CHANNELS[level - 1]!;
}
