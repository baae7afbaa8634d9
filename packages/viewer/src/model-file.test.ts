import { LABEL_NUMBERS } from '@aaunet/imaging';
import { describe, expect, it } from 'vitest';

import { readModelInfo } from './model-file.js';
import { densityModel } from './testing-model.js';

describe('readModelInfo', () => {
  const model = densityModel();

  it('reads what an export says of itself', () => {
    expect(readModelInfo(model)).toMatchObject({ name: 'pointwise', size: 96, unmarked: [], synthetic: true });
    const few = densityModel({ annotated: ['SDH'], untyped: ['EDH'] });
    expect(readModelInfo(few).unmarked).toEqual([1, 3, 5, 6, 7]);
    expect([{}, { approximateHu: true }].map((about) => readModelInfo(densityModel(about)).approximateHu)).toEqual([
      false,
      true,
    ]);
    const fitOf = (fit?: string) => readModelInfo(densityModel({ fit })).fit;
    expect([fitOf('pad'), fitOf()]).toEqual(['pad', 'stretch']);
    expect(() => fitOf('crop')).toThrow('slices that are pad or stretch');
  });

  it('refuses other files in words', () => {
    expect(() => readModelInfo(new TextEncoder().encode('hello, no network here'))).toThrow('Expected an ONNX file');
    expect(() => readModelInfo(model.subarray(0, 60))).toThrow('Expected an ONNX file');
    expect(() => readModelInfo(densityModel({ window: 7 }))).toThrow('Expected an ONNX file');
    const swapped = densityModel({ labels: { ...LABEL_NUMBERS, ICH: 2, SDH: 1 } });
    expect(() => readModelInfo(swapped)).toThrow(/labels of the model.*expected background 0, ICH 1.*found "ICH" 2/);
  });
});
