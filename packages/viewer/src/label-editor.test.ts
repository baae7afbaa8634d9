import { labelVolumesMl, type Volume } from '@aaunet/imaging';
import { describe, expect, it } from 'vitest';

import { LabelEditor, type Plane } from './label-editor.js';
import type { Origin } from './origin.js';

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
    editor.paint(2, [2, 2, 2], [7, 5, 2], 1.5, 2);
    editor.paint(2, [0, 0, 0], [0, 0, 0], 3, 3);
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
    editor.paint(2, [9, 7, 1], [9, 7, 1], 0.5, 4);
    editor.end();
    expect([...editor.data].filter(Boolean)).toEqual([4]);
    expect(editor.data[2 * 80 - 1]).toBe(4);
    editor.begin();
    editor.paint(2, [-20, -20, 0], [-18, -20, 0], 4, 5);
    editor.end();
    editor.undo();
    expect([editor.canUndo, editor.canRedo]).toEqual([false, true]);
  });

  it('paints discs in the plane of the pointer alone, round in mm', () => {
    const editor = new LabelEditor(SCAN);
    const painted = (plane: Plane): number[][] => {
      editor.begin();
      const slices = editor.paint(plane, [4, 4, 1], [4, 4, 1], 11, 1);
      editor.end();
      const extent = (at: (voxel: number) => number): number[] => {
        const found = [...editor.data.keys()].filter((voxel) => editor.data[voxel] === 1).map(at);
        return [Math.min(...found), Math.max(...found)];
      };
      const extents = [extent((v) => v % 10), extent((v) => Math.floor(v / 10) % 8), extent((v) => Math.floor(v / 80))];
      expect([Math.min(...slices), Math.max(...slices)]).toEqual(extents[2]);
      editor.undo();
      return extents;
    };
    // 11 pixels are 5.5 mm: one slice of 5 mm up and down.
    expect([painted(0), painted(1), painted(2)]).toEqual([
      [
        [4, 4],
        [0, 7],
        [0, 2],
      ],
      [
        [0, 9],
        [4, 4],
        [0, 2],
      ],
      [
        [0, 9],
        [0, 7],
        [1, 1],
      ],
    ]);
  });

  it('knows where its masks come from, after every stroke, undo and redo', () => {
    const editor = new LabelEditor(SCAN);
    const file: Origin = { kind: 'file', name: 'a.nii', warnings: [], isEdited: false };
    const stroke = (label: number): boolean => {
      editor.begin();
      editor.paint(2, [3, 3, 1], [3, 3, 1], 1, label);
      return editor.end();
    };
    expect([editor.undo(), editor.redo(), stroke(0)]).toEqual([false, false, false]);
    expect(editor.origin.kind).toBe('nobody');
    expect(stroke(2)).toBe(true);
    expect(editor.origin.kind).toBe('hand');
    // Masks in which there is nothing are a finding, too.
    editor.begin(file);
    expect(editor.end()).toBe(true);
    expect([editor.origin, editor.volumeMl(2)]).toEqual([file, 0]);
    expect(stroke(3)).toBe(true);
    expect(editor.origin).toEqual({ ...file, isEdited: true });
    editor.undo();
    expect(editor.origin).toEqual(file);
    editor.undo();
    expect(editor.origin.kind).toBe('hand');
    expect(editor.volumeMl(2)).toBeGreaterThan(0);
    editor.undo();
    expect(editor.origin.kind).toBe('nobody');
    for (let step = 0; step < 3; step++) expect(editor.redo()).toBe(true);
    expect(editor.origin).toEqual({ ...file, isEdited: true });
  });

  it('takes back a step that is dropped, and lets none be undone under it', () => {
    const editor = new LabelEditor(SCAN);
    editor.begin();
    editor.paint(2, [3, 3, 1], [3, 3, 1], 1, 2);
    editor.end();
    const before = editor.data.slice();
    editor.begin({ kind: 'file', name: 'a.nii', warnings: [], isEdited: false });
    editor.paint(2, [5, 5, 0], [5, 5, 0], 2, 4);
    expect(editor.undo()).toBe(false);
    editor.drop();
    expect([editor.data, editor.origin.kind, editor.volumeMl(4)]).toEqual([before, 'hand', 0]);
    // A stroke on which a run begins is a step of its own.
    editor.undo();
    editor.begin();
    editor.paint(2, [3, 3, 1], [3, 3, 1], 1, 2);
    editor.begin({ kind: 'file', name: 'a.nii', warnings: [], isEdited: false });
    editor.drop();
    expect([editor.data.slice(), editor.origin.kind, editor.undo()]).toEqual([before, 'hand', true]);
  });

  it('forgets old steps where they would take too much memory, the last one never', () => {
    const editor = new LabelEditor(SCAN, 100);
    const file: Origin = { kind: 'file', name: 'a.nii', warnings: [], isEdited: false };
    for (const label of [1, 2]) {
      editor.begin(file);
      editor.setAll(new Uint8Array(editor.data.length).fill(label));
      editor.end();
    }
    expect(editor.undo()).toBe(true);
    expect(editor.data.every((label) => label === 1)).toBe(true);
    expect(editor.canUndo).toBe(false);
  });
});
