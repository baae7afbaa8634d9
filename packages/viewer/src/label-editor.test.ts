import { labelVolumesMl, type Volume } from '@aaunet/imaging';
import { describe, expect, it } from 'vitest';

import { LabelEditor } from './label-editor.js';

const SCAN: Volume<Int16Array> = {
  data: new Int16Array(3 * 8 * 10),
  columns: 10,
  rows: 8,
  slices: 3,
  affine: [
    [-0.5, 0, 0, 3],
    [0, -0.5, 0, 4],
    [0, 0, 5, 5],
    [0, 0, 0, 1],
  ],
  positions: [
    [0, 0, 0],
    [0, 0, 4],
    [0, 0, 10],
  ],
  extents: [4, 5, 6],
};

describe('LabelEditor', () => {
  it('measures what imaging measures, uneven slices included, after every stroke, undo and redo', () => {
    const editor = new LabelEditor(SCAN);
    const isTrue = (): void => {
      const expected = labelVolumesMl({ ...SCAN, data: editor.data });
      for (const label of [1, 2, 3]) expect(editor.volumeMl(label)).toBeCloseTo(expected[label]!, 9);
    };
    editor.begin();
    editor.setSlice(2, new Uint8Array(80).fill(1));
    editor.end();
    editor.begin();
    editor.paint(2, [2, 2], [7, 5], 1.5, 2);
    editor.paint(0, [0, 0], [0, 0], 3, 3);
    editor.end();
    isTrue();
    const painted = editor.data.slice();
    expect([editor.fullestSlice(2), editor.fullestSlice(3), editor.fullestSlice(4)]).toEqual([2, 0, undefined]);
    editor.undo();
    isTrue();
    expect(editor.volumeMl(2) + editor.volumeMl(3)).toBe(0);
    editor.undo();
    expect([...editor.data].every((label) => label === 0)).toBe(true);
    expect(editor.canUndo).toBe(false);
    editor.redo();
    editor.redo();
    expect(editor.data).toEqual(painted);
    isTrue();
  });

  it('paints one voxel with the smallest brush, stays inside of the slice, and forgets steps that change nothing', () => {
    const editor = new LabelEditor(SCAN);
    editor.begin();
    editor.paint(1, [9, 7], [9, 7], 0.5, 4);
    editor.end();
    expect([...editor.data].filter(Boolean)).toEqual([4]);
    expect(editor.data[2 * 80 - 1]).toBe(4);
    editor.begin();
    editor.paint(0, [-20, -20], [-18, -20], 4, 5);
    editor.end();
    editor.undo();
    expect([editor.canUndo, editor.canRedo]).toEqual([false, true]);
  });
});
