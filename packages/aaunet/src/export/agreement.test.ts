import { manualSeed, noGrad, tidy, fromTypedArray } from '@aaunet/torch';
import { Conv2d } from '@aaunet/torch/nn';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { OnnxNetwork } from '../inference/onnx-network.js';
import type { TrainedNetwork } from '../inference/torch-network.js';
import { POINTWISE } from '../testing/pointwise-model.js';
import { checkAgreement, checkDice, compareWithLibTorch, DICE_LOSS, TOLERANCE, type Agreement } from './agreement.js';
import { realSlices } from './real-slices.js';

const SIZE = 32;
const FILE = { ...POINTWISE, size: SIZE };

let network: Conv2d;
beforeAll(() => {
  manualSeed(0);
  network = new Conv2d(3, 8, 3, { padding: 1 });
});
afterAll(() => {
  network[Symbol.dispose]();
});

/** ONNX Runtime, as it were, that computes what LibTorch does and then something else. */
function runtime(alter: (logits: Float32Array) => void): OnnxNetwork {
  return {
    file: FILE,
    exported: FILE,
    sha256: '',
    run: (input, count) => {
      const logits = tidy(() =>
        noGrad(() =>
          network
            .forward(fromTypedArray(input, [count, 3, SIZE, SIZE]))
            .data('float32')
            .slice(),
        ),
      );
      alter(logits);
      return Promise.resolve(logits);
    },
    close: () => Promise.resolve(),
  };
}

async function agreementOf(alter: (logits: Float32Array) => void, batch = 2): Promise<Agreement> {
  const trained: TrainedNetwork = { file: FILE, sha256: '', network };
  return compareWithLibTorch(runtime(alter), trained, await realSlices('/no/run', FILE), batch);
}

const PLANE = SIZE * SIZE;

describe('an exported file beside LibTorch', () => {
  it('agrees with itself, in batches of any size', async () => {
    for (const batch of [1, 2, 3, 8]) {
      const agreement = await agreementOf(() => undefined, batch);
      expect(agreement).toMatchObject({ slices: 4, source: 'phantoms', largestDifference: 0, sameLabels: 1 });
      expect(() => {
        checkAgreement(agreement, 'fp32');
      }).not.toThrow();
    }
  });

  it('is refused for one logit that is off, or none', async () => {
    const off = await agreementOf((logits) => (logits[5]! += 0.05));
    expect(off.largestDifference).toBeCloseTo(0.05, 5);
    expect(() => {
      checkAgreement(off, 'fp32');
    }).toThrow(
      /^Expected ONNX Runtime to compute in fp32 .*0\.0001 of the largest logit.*found 0\.0500 apart on 4 slices of phantoms/,
    );
    expect(() => {
      checkAgreement(off, 'int8');
    }).not.toThrow();
    const none = await agreementOf((logits) => (logits[5] = NaN));
    for (const precision of ['fp32', 'fp16', 'int8'] as const)
      expect(() => {
        checkAgreement(none, precision);
      }).toThrow(/found NaN apart/);
  });

  it('is refused where 8 bits change too many labels', async () => {
    const share = 1.5 * (1 - TOLERANCE.int8.labels);
    const changed = await agreementOf((logits) => {
      // Another type wins in the first rows of every slice.
      for (let start = 0; start < logits.length; start += 8 * PLANE)
        for (let pixel = 0; pixel < share * PLANE; pixel++) {
          let worst = 0;
          for (let id = 1; id < 8; id++)
            if (logits[start + id * PLANE + pixel]! < logits[start + worst * PLANE + pixel]!) worst = id;
          logits[start + worst * PLANE + pixel] = 100;
        }
    });
    expect(changed.sameLabels).toBeCloseTo(1 - share, 2);
    expect(() => {
      checkAgreement(changed, 'int8');
    }).toThrow(
      /^Expected int8 to give at least 95\.00 % of the pixels the label.*found 92\.\d\d % on 4 slices of phantoms.*$/,
    );
  });
});

describe('the Dice that 8 bits cost', () => {
  it('is passed over, warned about or refused', () => {
    const after = (loss: number) => checkDice({ fp32: 0.7, int8: 0.7 - loss, slices: 90 });
    expect(after(-0.02)).toBeUndefined();
    expect(after(0.9 * DICE_LOSS.warned)).toBeUndefined();
    expect(after(1.1 * DICE_LOSS.warned)).toMatch(/mean Dice falls from 0\.700 to 0\.689 on 90 validation slices/);
    expect(() => after(1.1 * DICE_LOSS.refused)).toThrow(/^Expected int8 to cost at most 0\.05 .* export in fp16\.$/);
    expect(checkDice({ fp32: null, int8: null, slices: 0 })).toMatch(/no lesion/);
  });
});

describe('the slices to compare on', () => {
  it('are heads in the window of the network, with and without lesions', async () => {
    const { images } = await realSlices('/no/run', FILE);
    for (const image of images) {
      expect(image).toHaveLength(3 * PLANE);
      const bone = image.filter((value) => value === 1).length;
      const air = image.filter((value) => value === 0).length;
      expect(bone).toBeGreaterThan(20);
      expect(air).toBeGreaterThan(0.1 * image.length);
      expect(bone + air).toBeLessThan(0.95 * image.length);
    }
    const wide = { ...FILE, window: { center: 300, width: 4000 } };
    expect((await realSlices('/no/run', wide)).images[0]).not.toEqual(images[0]);
  });
});
