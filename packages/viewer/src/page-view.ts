import { spacingOf, voxelToPatient } from '@aaunet/imaging';

import { box, button, element, input, select } from './elements.js';
import { showFindings, showTicks } from './findings-view.js';
import { isRunning, warningsOf, type Session } from './session.js';
import type { Study } from './study.js';
import type { View } from './viewer.js';

function paragraph(text: string, kind: string): HTMLParagraphElement {
  const made = document.createElement('p');
  made.className = kind;
  made.textContent = text;
  return made;
}

function studyText({ name, source, scan }: Study): string {
  const { columns, rows, slices, affine } = scan;
  const spacing = spacingOf(affine).map((mm) => mm.toFixed(2));
  return `${name}: ${slices} slices of ${columns} x ${rows}, ${spacing.join(' x ')} mm, ${source === 'dicom' ? 'DICOM' : 'NIfTI'}.`;
}

function showModel({ model, study }: Session): void {
  box('model-name').textContent = model ? model.info.name : 'No network';
  const lines = model
    ? [
        `${model.info.name}, ${model.info.size} x ${model.info.size}, ${model.info.precision}, on ${model.backend}. Weights ${model.info.sha256.slice(0, 12)}.`,
        ...model.notes,
      ]
    : ['None. Choose an ONNX file that "aaunet export" wrote, or serve one with "aaunet serve --model".'];
  box('model-text').replaceChildren(...lines.map((line) => paragraph(line, 'quiet')));
  button('run').title = model ? (study ? '' : 'Open a scan first') : 'Choose a network first';
}

function showProgress({ run, study }: Session): void {
  box('progress-box').hidden = !run?.isGoing;
  if (!run?.isGoing || !study) return;
  const [done, total] = [run.done.size, study.scan.slices];
  element('progress', HTMLProgressElement).value = done / total;
  const each = (performance.now() - run.started) / done / 1000;
  box('progress-text').textContent =
    done === 0
      ? `0 of ${total} slices`
      : `${done} of ${total} slices, ${Math.ceil(each * (total - done))} s left (${each.toFixed(1)} s a slice)`;
}

function showSeries(study: Study | undefined): void {
  const series = study?.series ?? [];
  box('series-box').hidden = series.length < 2;
  select('series').replaceChildren(
    ...series.map(({ uid, name }) => new Option(name, uid, false, uid === study?.seriesUid)),
  );
}

export const pageView: View = {
  show(session) {
    const { study, editor, model } = session;
    const isBusy = isRunning(session);
    box('welcome').hidden = study !== undefined;
    box('place').hidden = box('values').hidden = study === undefined;
    input('slice').disabled = study === undefined;
    input('slice').max = String(study?.scan.slices ?? 1);
    button('run').disabled = !study || !model || isBusy;
    button('cancel').hidden = !isBusy;
    button('undo').disabled = isBusy || !editor?.canUndo;
    button('redo').disabled = isBusy || !editor?.canRedo;
    for (const id of ['save-nifti', 'save-report']) button(id).disabled = !study || isBusy;
    button('save-seg').disabled = study?.source !== 'dicom' || isBusy;
    button('save-seg').title = study?.source === 'nifti' ? 'Of DICOM scans alone: it refers to their slices' : '';
    box('study-text').textContent = study ? studyText(study) : 'None open.';
    box('warnings').replaceChildren(...warningsOf(session).map((text) => paragraph(text, 'notice')));
    showSeries(study);
    showModel(session);
    showProgress(session);
    showFindings(session);
    showTicks(session);
    pageView.showPlace(session);
  },

  showPlace({ study, slice, window }) {
    input('center').value = String(Math.round(window.center));
    input('width').value = String(Math.round(window.width));
    if (!study) return;
    const { slices, affine, positions } = study.scan;
    const height = positions?.[slice]?.[2] ?? voxelToPatient(affine, 0, 0, slice)[2];
    input('slice').value = String(slice + 1);
    input('slice').setAttribute('aria-valuetext', `slice ${slice + 1} of ${slices}`);
    box('slice-text').textContent = `${slice + 1} / ${slices}`;
    box('place').textContent = `Slice ${slice + 1} / ${slices}\nz ${height.toFixed(1)} mm`;
    box('values').textContent = `WL ${Math.round(window.center)}\nWW ${Math.round(window.width)}`;
  },
};
